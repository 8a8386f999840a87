/*
 * api_tables.h - the rows of each api_<noun>.c; api.c makes one table of them.
 */
#ifndef API_TABLES_H
#define API_TABLES_H

#include "frontd.h"

extern const struct route	 session_routes[], task_routes[], log_routes[],
				 permission_routes[], runner_routes[],
				 event_routes[], key_routes[],
				 agent_config_routes[], meta_routes[],
				 status_routes[];

/* Made by api.mk from openapi.yaml. */
extern const unsigned char	 openapi_yaml[], docs_html[];
extern const size_t		 openapi_yaml_len, docs_html_len;

#define ADMIN	(LISTEN_ADMIN | LISTEN_LOCAL)

#endif
