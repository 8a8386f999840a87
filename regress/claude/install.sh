#!/bin/sh
# Installs the real Claude Code program, at the version in package-lock.json,
# from the npm registry, and prints the path of its native binary.  It is a
# proprietary program: it is installed when the tests run and never shipped.
#
# Why 2.1.329 and not the 2.1.197 that npm picks by itself on node 20: it is
# what people get today, it takes its key from a pipe or socket, ends its tools
# on SIGTERM, and marks a call that was cut short as such when a conversation
# is resumed.  Its `engines` wants node 22, but only npm reads that: the program
# is native.  Its install script is not run, since the binary is called directly.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
"$here/../install.sh" "$here"
case $(uname -m) in
x86_64)		arch=x64 ;;
aarch64)	arch=arm64 ;;
*)		echo "claude/install.sh: no Claude Code for $(uname -m)" >&2
		exit 1 ;;
esac
bin=$here/node_modules/@anthropic-ai/claude-code-linux-$arch/claude
if [ ! -x "$bin" ]; then
	echo "claude/install.sh: npm did not install $bin" >&2
	exit 1
fi
printf '%s\n' "$bin"
