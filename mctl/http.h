/*
 * libcurl, for http.c and stream.c alone.
 */

#ifndef HTTP_H
#define HTTP_H

#include <curl/curl.h>

#include "doc.h"

struct curl_slist *http_header(struct curl_slist *, const char *,
	    const char *);
void	 http_headers_free(struct curl_slist *);
CURL	*http_open(struct mctl *, const char *, int, struct curl_slist **);
void	 http_unreachable(struct mctl *, int, const char *);

#endif
