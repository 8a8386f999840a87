# gen.awk - makes C from messages.master.
#
# awk -v what=header|table|prog -v prog=taskd -v procs="taskd" -v hash=HEX
#
#	header	messages.h: processes, types, structs
#	table	messages.c: descriptors of every message and field, the edges
#	hdr	<prog>_msg.h: on_*() that the program must define, send_*()
#	disp	<prog>_msg.c: its dispatch
#	man	the message table of marionette-protocol(7), mdoc
#	points	who may send what: process, its number, message, its number, and
#		`write' for a statement that is committed
#	heard	an on_*() for every message that tells heard(), for the fuzzer

BEGIN { nproc = nmsg = 0 }

function die(s) { print "messages.master:" NR ": " s > "/dev/stderr"; bad = 1; exit 1 }

# Names and groups of `s' ("web+runner") as " api admin runner ".
function expand(s,   n, i, part, out) {
	n = split(s, part, "+")
	out = " "
	for (i = 1; i <= n; i++) {
		if (part[i] in group)
			out = out group[part[i]] " "
		else if (part[i] in procno)
			out = out part[i] " "
		else
			die("unknown process " part[i])
	}
	return out
}

# `api+admin>taskd,taskd>api': edges by commas, names of a side by `+'.
function add_edges(s,   n, i, e, part) {
	n = split(s, part, ",")
	for (i = 1; i <= n; i++) {
		if (split(part[i], e, ">") != 2)
			die("not an edge: " part[i])
		edge_pair(e[1], e[2])
	}
}

function edge_pair(a, b,   nf, nt, fs, ts, i, j) {
	nf = split(expand(a), fs, " ")
	nt = split(expand(b), ts, " ")
	for (i = 1; i <= nf; i++)
		for (j = 1; j <= nt; j++) {
			if (fs[i] == ts[j])
				continue
			edge[nmsg, fs[i], ts[j]] = 1
			pair[fs[i], ts[j]] = 1
			pair[ts[j], fs[i]] = 1
			if (isbulk[nmsg]) {
				bulk[fs[i], ts[j]] = 1
				bulk[ts[j], fs[i]] = 1
			}
		}
}

function field(t, name, bound) {
	if (t !~ /^(u8|u16|u32|u64|id|str|blob|secret)$/)
		die("unknown type " t)
	if (t ~ /^(str|blob|secret)$/ && bound + 0 == 0)
		die("field " name " wants a bound")
	if (t == "id")
		bound = 31
	nf = ++nfield[nmsg]
	ftype[nmsg, nf] = t
	fname[nmsg, nf] = name
	fbound[nmsg, nf] = bound + 0
	if (t == "secret")
		hassecret[nmsg] = 1
	if (t == "u8") sz = 1
	else if (t == "u16") sz = 2
	else if (t == "u32") sz = 4
	else if (t == "u64") sz = 8
	else sz = 4 + bound + (t == "id" || t == "str" ? 1 : 0)
	max[nmsg] += sz
}

/^#/ || /^[ \t]*$/ { next }

$1 == "proc" {
	for (i = 2; i <= NF; i++) {
		proc[nproc] = $i
		procno[$i] = nproc++ 
	}
	next
}

$1 == "group" {
	s = ""
	for (i = 4; i <= NF; i++)
		s = s (s == "" ? "" : " ") $i
	group[$2] = s
	next
}

/^[A-Z]/ {
	nmsg++
	name[nmsg] = $1
	if ($1 in msgno)
		die("twice: " $1)
	msgno[$1] = nmsg
	low[nmsg] = tolower($1)
	edges = ""
	for (i = 2; i <= NF; i++) {
		if ($i == "fd") isfd[nmsg] = 1
		else if ($i == "bulk") isbulk[nmsg] = 1
		else if ($i == "sql") issql[nmsg] = 1
		else if ($i == "write") iswrite[nmsg] = 1
		else if ($i == "read") isread[nmsg] = 1
		else if ($i == "tenant") istenant[nmsg] = 1
		else if ($i == "system") issystem[nmsg] = 1
		else if ($i == "many") ismany[nmsg] = 1
		else if ($i == "row") isrow[nmsg] = 1
		else if ($i ~ /^rows=/) rows[nmsg] = substr($i, 6)
		else edges = edges $i
	}
	edgetext[nmsg] = edges
	add_edges(edges)
	next
}

/^\t/ {
	if (nmsg == 0)
		die("field before the first message")
	if ($1 == "request") {
		field("blob", "ticket", 256)
		field("str", "request_id", 64)
	} else if ($1 == "idem") {
		field("str", "idem_key", 255)
		field("blob", "idem_hash", 32)
	} else
		field($1, $2, $3)
	next
}

{ die("not understood: " $0) }

function receives(m,   i, j, n, ps) {
	n = split(procs, ps, " ")
	for (i = 1; i <= n; i++)
		for (j = 0; j < nproc; j++)
			if ((m, proc[j], ps[i]) in edge)
				return 1
	return 0
}

function sends(m,   i, j, n, ps) {
	n = split(procs, ps, " ")
	for (i = 1; i <= n; i++)
		for (j = 0; j < nproc; j++)
			if ((m, ps[i], proc[j]) in edge)
				return 1
	return 0
}

function ctype(t) {
	if (t == "u8") return "uint8_t"
	if (t == "u16") return "uint16_t"
	if (t == "u32") return "uint32_t"
	return "uint64_t"
}

function header(   i, k) {
	print "/* Made by gen.awk from messages.master. */"
	print "#ifndef MESSAGES_H\n#define MESSAGES_H\n"
	print "#include <stddef.h>\n#include <stdint.h>\n"
	print "enum proc {"
	for (i = 0; i < nproc; i++)
		print "\tPROC_" toupper(proc[i]) ","
	print "\tPROC_MAX\n};\n"
	print "enum msg_type {\n\tMSG_NONE,"
	for (i = 1; i <= nmsg; i++)
		print "\tMSG_" name[i] ","
	print "\tMSG_MAX\n};"
	for (i = 1; i <= nmsg; i++) {
		print "\nstruct msg_" low[i] " {"
		if (nfield[i] == 0)
			print "\tuint8_t empty; /* no field on the wire */"
		for (k = 1; k <= nfield[i]; k++) {
			t = ftype[i, k]
			if (t ~ /^u/)
				print "\t" ctype(t) " " fname[i, k] ";"
			else if (t == "id" || t == "str")
				print "\tconst char *" fname[i, k] ";" \
				    " /* <= " fbound[i, k] " */"
			else {
				print "\tconst uint8_t *" fname[i, k] ";" \
				    " /* <= " fbound[i, k] " */"
				print "\tsize_t " fname[i, k] "_len;"
			}
		}
		print "};"
	}
	print "\n#endif"
}

function kind(t) { return "FIELD_" toupper(t) }

function table(   i, j, k, f, s) {
	print "/* Made by gen.awk from messages.master. */"
	print "#include \"message.h\"\n"
	printf "const uint8_t msg_table_hash[32] = {"
	for (i = 1; i <= 64; i += 2)
		printf "%s0x%s,", (i % 16 == 1 ? "\n\t" : " "), substr(hash, i, 2)
	print "\n};\n"
	print "const char *const proc_names[PROC_MAX] = {"
	for (i = 0; i < nproc; i++)
		print "\t\"" proc[i] "\","
	print "};\n"
	for (i = 1; i <= nmsg; i++) {
		if (nfield[i] == 0)
			continue
		print "static const struct msg_field f_" low[i] "[] = {"
		for (k = 1; k <= nfield[i]; k++) {
			t = ftype[i, k]
			s = "struct msg_" low[i]
			printf "\t{ \"%s\", %s, %d, offsetof(%s, %s), ", \
			    fname[i, k], kind(t), fbound[i, k], s, fname[i, k]
			if (t == "blob" || t == "secret")
				printf "offsetof(%s, %s_len) },\n", s, fname[i, k]
			else
				print "0 },"
		}
		print "};"
	}
	print "\nconst struct msg_desc msg_descs[MSG_MAX] = {"
	for (i = 1; i <= nmsg; i++) {
		f = "0"
		if (isfd[i]) f = f " | MSG_F_FD"
		if (isbulk[i]) f = f " | MSG_F_BULK"
		if (issql[i]) f = f " | MSG_F_SQL"
		if (iswrite[i]) f = f " | MSG_F_WRITE"
		if (isread[i]) f = f " | MSG_F_READ"
		if (istenant[i]) f = f " | MSG_F_TENANT"
		if (issystem[i]) f = f " | MSG_F_SYSTEM"
		if (isrow[i]) f = f " | MSG_F_ROW"
		if (ismany[i]) f = f " | MSG_F_MANY"
		if (hassecret[i]) f = f " | MSG_F_SECRET"
		if (rows[i] != "" && !(rows[i] in msgno))
			die("no such row message: " rows[i])
		print "\t[MSG_" name[i] "] = {"
		print "\t\t.name = \"" name[i] "\", .lower = \"" low[i] "\","
		print "\t\t.flags = " f ","
		print "\t\t.rows = " (rows[i] == "" ? "MSG_NONE" : "MSG_" rows[i]) ","
		print "\t\t.nfields = " nfield[i] + 0 ", .fields = " \
		    (nfield[i] ? "f_" low[i] : "NULL") ","
		print "\t\t.size = sizeof(struct msg_" low[i] "), .max = " max[i] + 0 ","
		printf "\t\t.to = {"
		for (j = 0; j < nproc; j++) {
			s = ""
			for (k = 0; k < nproc; k++)
				if ((i, proc[j], proc[k]) in edge)
					s = s (s == "" ? "" : " | ") \
					    "1U << PROC_" toupper(proc[k])
			if (s != "")
				printf "\n\t\t\t[PROC_" toupper(proc[j]) "] = " s ","
		}
		print "\n\t\t}\n\t},"
	}
	print "};\n"
	print "/* 0 no edge, 1 a control pair, 2 a bulk pair beside it. */"
	print "const uint8_t proc_edges[PROC_MAX][PROC_MAX] = {"
	for (i = 0; i < nproc; i++) {
		printf "\t[PROC_" toupper(proc[i]) "] = {"
		for (j = 0; j < nproc; j++)
			printf " %d,", ((proc[i], proc[j]) in pair) ? \
			    (((proc[i], proc[j]) in bulk) ? 2 : 1) : 0
		print " },"
	}
	print "};"
}

function prog_header(   i) {
	print "/* Made by gen.awk from messages.master: what " prog " hears and says. */"
	print "#ifndef " toupper(prog) "_MSG_H\n#define " toupper(prog) "_MSG_H\n"
	print "#include \"message.h\"\n#include \"peer.h\"\n"
	for (i = 1; i <= nmsg; i++) {
		if (!receives(i) || (issql[i] && prog == "storaged"))
			continue
		print "void on_" low[i] "(struct peer *, uint64_t,\n    const struct msg_" \
		    low[i] " *" (isfd[i] ? ", int" : "") ");"
	}
	for (i = 1; i <= nmsg; i++) {
		if (!sends(i))
			continue
		print "\nstatic inline int\nsend_" low[i] "(struct peer *p, uint64_t ref, const struct msg_" \
		    low[i] " *m" (isfd[i] ? ", int fd" : "") ")\n{"
		print "\treturn (peer_send(p, ref, MSG_" name[i] ", m, " \
		    (isfd[i] ? "fd" : "-1") "));\n}"
	}
	print "\n#endif"
}

function prog_dispatch(   i) {
	print "/* Made by gen.awk from messages.master. */"
	print "#include \"" prog "_msg.h\"\n"
	if (prog == "storaged")
		print "void on_statement(struct peer *, uint64_t, enum msg_type, const void *);\n"
	print "int\nproc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,\n    int fd)\n{"
	print "\tswitch ((int)type) {"
	for (i = 1; i <= nmsg; i++) {
		if (!receives(i))
			continue
		print "\tcase MSG_" name[i] ":"
		if (issql[i] && prog == "storaged")
			print "\t\ton_statement(p, ref, type, m);"
		else
			print "\t\ton_" low[i] "(p, ref, m" (isfd[i] ? ", fd" : "") ");"
		print "\t\tbreak;"
	}
	print "\tdefault:\n\t\treturn (-1);\n\t}"
	print "\t(void)fd;\n\treturn (0);\n}"
}

function man(   i, k, s) {
	for (i = 1; i <= nmsg; i++) {
		print ".It Sy " name[i] " Pq " edgetext[i]
		s = ""
		for (k = 1; k <= nfield[i]; k++)
			s = s (s == "" ? "" : ", ") fname[i, k]
		print (s == "" ? "No field." : s ".")
	}
}

# The same handler for every message of every program that has no other.
function heard(   i, args, fd) {
	print "/* Made by gen.awk from messages.master. */"
	print "#include \"peer.h\"\n"
	print "void heard(struct peer *, uint64_t, enum msg_type, const void *, int);"
	print "void on_statement(struct peer *, uint64_t, enum msg_type, const void *);"
	print "void __attribute__((weak))\non_statement(struct peer *p, uint64_t ref, enum msg_type type, const void *m)\n{"
	print "\theard(p, ref, type, m, -1);\n}"
	for (i = 1; i <= nmsg; i++) {
		fd = isfd[i] ? ", int fd" : ""
		args = "(struct peer *p, uint64_t ref, const struct msg_" low[i] " *m" fd ")"
		print "void on_" low[i] args ";"
		print "void __attribute__((weak))\non_" low[i] args "\n{"
		print "\theard(p, ref, MSG_" name[i] ", m, " (isfd[i] ? "fd" : "-1") ");\n}"
	}
}

function points(   i, j, k) {
	for (j = 0; j < nproc; j++)
		for (i = 1; i <= nmsg; i++) {
			for (k = 0; k < nproc; k++)
				if ((i, proc[j], proc[k]) in edge)
					break
			if (k < nproc)
				print proc[j], j, name[i], i, \
				    iswrite[i] ? "write" : "-"
		}
}

END {
	if (bad)
		exit 1
	if (what == "header") header()
	else if (what == "table") table()
	else if (what == "hdr") prog_header()
	else if (what == "disp") prog_dispatch()
	else if (what == "man") man()
	else if (what == "points") points()
	else if (what == "heard") heard()
	else if (what == "edges") {
		for (i = 0; i < nproc; i++) for (j = i + 1; j < nproc; j++)
			if ((proc[i], proc[j]) in pair)
				print proc[i], proc[j], (((proc[i], proc[j]) in bulk) ? "bulk" : "")
	}
}
