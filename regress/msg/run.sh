#!/bin/sh
# The message room: every message of the table.  O: the object directory.
exec "${O:-build}/regress/roundtrip"
