/*
 * own_conn.h - in place of storaged's connection.c, statement.c and answer.c, for a
 * test that is the database itself: what is asked goes nowhere, and is counted.
 */
#ifndef OWN_CONN_H
#define OWN_CONN_H

extern unsigned int	 conn_calls;	/* statements, and tenants set */

#endif
