# embed.awk - SQL files as C strings: sql_names[] and sql_texts[], in order.

BEGIN { print "/* Made by embed.awk from storaged/sql. */" }

FNR == 1 {
	if (n++)
		print "\t;"
	name = FILENAME
	sub(/.*\//, "", name)
	names[n] = name
	printf "static const char sql_%d[] =\n", n
}

{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	print "\t\"" $0 "\\n\""
}

END {
	print "\t;"
	print "extern const char *const sql_names[], *const sql_texts[];"
	print "const char *const sql_names[] = {"
	for (i = 1; i <= n; i++)
		print "\t\"" names[i] "\","
	print "\t(const char *)0\n};\nconst char *const sql_texts[] = {"
	for (i = 1; i <= n; i++)
		print "\tsql_" i ","
	print "\t(const char *)0\n};"
}
