#!/bin/sh
# fuzz.sh run SECONDS [name ...]	each harness for so long, one at a time
# fuzz.sh dry MINUTES name		one until as many minutes of its processor
#					time brought no new edge
# fuzz.sh far			how far each has been, of those that `dry' ran
# fuzz.sh merge name ...		what of the corpus reaches an edge that no
#					seed does becomes one
# fuzz.sh cover [name ...]		lines that seeds, found inputs and the
#					corpus run, per file of the product;
#					less than 80 % fails
# The corpus grows in build-fuzz/corpus/NAME; a crash is left in
# build-fuzz/crash/NAME-..., from where it goes to found/NAME when it is mended.
cd "$(dirname "$0")/../.." || exit 2
here=regress/fuzz
B=${FUZZ_BUILD:-build-fuzz}
C=${COVER_BUILD:-build-cover}
ALL=$(ls $here/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
# Long, because a machine may stand still meanwhile; none takes a second.
LIMITS="-timeout=120 -rss_limit_mb=1024 -malloc_limit_mb=256"
# What was freed is kept for a while, so that its use is seen, but not so much that
# each buffer is memory never touched before: half as many executions a second more.
export ASAN_OPTIONS=allocator_release_to_os_interval_ms=-1:quarantine_size_mb=16

# harness name [option ...]
harness() {
	name=$1
	shift
	mkdir -p $B/corpus/$name $B/crash
	set -- "$@" $LIMITS -artifact_prefix=$B/crash/$name-
	[ -f $here/$name.dict ] && set -- "$@" -dict=$here/$name.dict
	[ -f $here/$name.len ] && set -- "$@" -max_len=$(cat $here/$name.len)
	[ -d $here/found/$name ] && set -- "$@" $B/corpus/$name \
	    $here/seeds/$name $here/found/$name || set -- "$@" \
	    $B/corpus/$name $here/seeds/$name
	nice -n 10 $B/regress/fuzz_$name "$@"
}

# What the last lines of a log say: executions, edges.
tell() {
	awk '/^#[0-9]/ { for (i = 1; i <= NF; i++) if ($i == "cov:") e = $(i + 1) }
	    /number_of_executed_units/ { n = $2 }
	    END { print n + 0, e + 0 }' "$1"
}

run() {
	seconds=$1
	shift
	rc=0
	for name in ${*:-$ALL}; do
		log=$B/$name.log
		if harness $name -max_total_time="$seconds" \
		    -print_final_stats=1 >"$log" 2>&1; then
			set -- $(tell "$log")
			printf '%-12s %10d executions %6d edges\n' $name $1 $2
		else
			echo "$name broke: $log"
			grep -m1 -E 'ERROR|runtime error|does not hold|fatal:' "$log"
			rc=1
		fi
	done
	return $rc
}

# Processor seconds of the children that have ended, in $used.
cpu() {
	times >$B/times-$name
	used=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) {
		split($i, t, "m"); s += t[1] * 60 + t[2] }
		print int(s) }' $B/times-$name)
}

# The files that a harness is about, itself among them.
files_of() {
	echo "$here/fuzz_$1.c"
	sed -n 's/^ \* covers: *//p' $here/fuzz_$1.c | tr ' ' '\n' |
	    sed "s|^gen/|$B/gen/|"
}

# What a harness shares with others, and is no less its own.
world_of() {
	sed -n 's/^ \* world: *//p' $here/fuzz_$1.c | sed "s|^|$here/|"
}

# Goes on where the last one stopped, on whatever machine, as long as these files
# are the same: an hour for each of a dozen harnesses is more than a sitting.
# dry/NAME: commit, sum of the files, executions, edges, processor seconds, those
# since the last new edge. A machine without the last one's corpus must first find
# again what that had found: an edge is new when the corpus here did not reach it.
dry() {
	minutes=$1 name=$2 log=$B/$2.log so_far=$here/dry/$2
	edges_here=$B/edges-$2
	mkdir -p $here/dry
	is=$(cat $(files_of $name) $(world_of $name) | cksum | cut -d' ' -f1)
	total=0 best=0 spent=0 quiet=0
	[ -s $so_far ] && read -r _ was t b s q <$so_far &&
	    [ "$was" = "$is" ] && total=$t best=$b spent=$s quiet=$q
	[ $total -gt 0 ] && [ -s $edges_here ] || echo 0 >$edges_here
	read -r reached <$edges_here
	while [ $quiet -lt $((minutes * 60)) ]; do
		cpu
		at=$used
		harness $name -max_total_time=${CHUNK:-120} \
		    -print_final_stats=1 >"$log" 2>&1 || {
			echo "$name broke: $log"
			grep -m1 -E 'ERROR|runtime error|does not hold|fatal:' "$log"
			return 1
		}
		set -- $(tell "$log")
		cpu
		at=$((used - at))
		total=$((total + $1)) spent=$((spent + at)) quiet=$((quiet + at))
		[ "$2" -gt $reached ] && reached=$2 quiet=0
		[ "$2" -gt $best ] && best=$2
		echo $reached >$edges_here
		echo "$(git rev-parse --short HEAD) $is $total $best $spent $quiet" \
		    >$so_far
	done
	far | grep "^$name "
}

far() {
	for name in $ALL; do
		[ -s $here/dry/$name ] || continue
		read -r commit _ total best spent quiet <$here/dry/$name
		printf '%-10s %-8s %11d executions %5d edges %6d s, ' \
		    $name $commit $total $best $spent
		echo "$quiet of them without a new edge"
	done
}

# By edges alone, however often they are run: that needs few inputs.
merge() {
	for name; do
		before=$(ls $here/seeds/$name | wc -l)
		$B/regress/fuzz_$name -merge=1 -use_counters=0 $LIMITS \
		    -max_len=${MERGE_MAX:-4096} $here/seeds/$name \
		    $B/corpus/$name >$B/merge.log 2>&1 || {
			tail -3 $B/merge.log
			return 1
		}
		echo "$name: $before and $(($(ls $here/seeds/$name | wc -l) -
		    before)) inputs, $(cat $here/seeds/$name/* | wc -c) bytes"
	done
}

cover() {
	rc=0
	for name in ${*:-$ALL}; do
		set -- $here/seeds/$name
		[ -d $here/found/$name ] && set -- "$@" $here/found/$name
		[ -d $B/corpus/$name ] && [ -z "$SEEDS" ] &&
		    set -- "$@" $B/corpus/$name
		LLVM_PROFILE_FILE=$C/$name.profraw $C/regress/fuzz_$name "$@" \
		    >/dev/null 2>$C/$name.log || {
			echo "$name broke: $C/$name.log"
			return 1
		}
		llvm-profdata-14 merge -o $C/$name.profdata $C/$name.profraw
		files=$(B=$C files_of $name | tail -n +2)
		echo "$name"
		llvm-cov-14 report $C/regress/fuzz_$name \
		    -instr-profile=$C/$name.profdata $files 2>/dev/null |
		    awk '$1 ~ /\.[chy]$/ || $1 == "TOTAL" {
			low = $1 != "TOTAL" && $10 + 0 < LEAST
			printf "    %-28s %5d of %5d lines %7s%s\n", $1,
			    $8 - $9, $8, $10, low ? "  too few" : ""
			if (low)
				rc = 1
		    }
		    END { exit rc }' LEAST=80 || rc=1
	done
	return $rc
}

what=$1
shift
case $what in
run|dry|far|merge|cover) $what "$@" ;;
*) sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
esac
