# docs.awk - openapi.yaml as one HTML page without scripts: what it says in
# prose, a table of the routes, and each part in its own words.

function esc(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

# References become links to where they point.
function code(s,   name, out, at) {
	s = esc(s)
	out = ""
	while (match(s, /#\/components\/[A-Za-z]+\/[A-Za-z]+/)) {
		name = substr(s, RSTART + 13, RLENGTH - 13)
		at = name
		sub(/\//, "-", at)
		out = out substr(s, 1, RSTART - 1) "<a href=\"#" at "\">" name "</a>"
		s = substr(s, RSTART + RLENGTH)
	}
	return out s
}

function anchor(s) {
	gsub(/[^A-Za-z0-9]+/, "-", s)
	return s
}

function close_block() {
	if (open)
		body = body "</pre>\n"
	open = 0
}

/^[a-z]/ {
	close_block()
	section = $1
	sub(/:.*/, "", section)
	prose = 0
}

section == "info" && /^  version:/ { version = $2 }
section == "info" && /^  description: \|/ { prose = 1; next }
section == "info" && prose {
	sub(/^    /, "")
	intro = intro (length($0) ? esc($0) "\n" : "</p>\n<p>")
	next
}

section == "paths" && /^  \// {
	close_block()
	path = $1
	sub(/:$/, "", path)
	next
}
section == "paths" && /^    (get|put|post|patch|delete):/ {
	close_block()
	method = toupper($1)
	sub(/:/, "", method)
	at = anchor(method path)
	pending = 1
	next
}
section == "paths" && pending && /^      summary:/ {
	summary = $0
	sub(/^ *summary: */, "", summary)
	routes = routes "<tr><td>" method "</td><td><a href=\"#" at "\">" \
	    esc(path) "</a></td><td>" esc(summary) "</td></tr>\n"
	body = body "<h3 id=\"" at "\"><code>" method " " esc(path) \
	    "</code></h3>\n<p>" esc(summary) ".</p>\n<pre>"
	open = 1
	pending = 0
	next
}
section == "paths" && open && /^      / && !/operationId:|tags:/ {
	body = body code(substr($0, 7)) "\n"
}

section == "components" && /^  [a-zA-Z]+:$/ {
	close_block()
	group = $1
	sub(/:$/, "", group)
	body = body "<h2>" group "</h2>\n"
	next
}
section == "components" && /^    [A-Za-z]+:/ {
	close_block()
	name = $1
	sub(/:.*/, "", name)
	body = body "<h3 id=\"" group "-" name "\"><code>" name \
	    "</code></h3>\n<pre>"
	open = 1
	rest = $0
	sub(/^    [A-Za-z]+: */, "", rest)
	if (length(rest))
		body = body code(rest) "\n"
	next
}
section == "components" && open && /^      / {
	body = body code(substr($0, 7)) "\n"
}

END {
	close_block()
	print "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	print "<meta name=\"viewport\" content=\"width=device-width\">"
	print "<title>Marionette API</title>\n<style>"
	print "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
	print "pre{overflow:auto;padding:.6rem .8rem;border:1px solid #8884;border-radius:4px;font-size:.85rem}"
	print "table{border-collapse:collapse;width:100%}td{padding:.15rem .8rem .15rem 0;vertical-align:top}"
	print "td:first-child,code{font-family:ui-monospace,monospace}h3{margin-top:2rem}"
	print "</style></head><body>"
	print "<h1>Marionette API " esc(version) "</h1>"
	print "<p>The contract itself is <a href=\"/openapi.yaml\">openapi.yaml</a>.</p>"
	print "<p>" intro "</p>\n<h2>Routes</h2>\n<table>\n" routes "</table>"
	print "<h2>In detail</h2>\n" body "</body></html>"
}
