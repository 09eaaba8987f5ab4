#!/bin/sh
# Tells whether two places hold the same artifact: compare.sh LOCATION LOCATION
set -eu
if [ $# -ne 2 ]; then
    echo "usage: $0 LOCATION LOCATION" >&2
    exit 2
fi
one=$(artifact inspect --quiet "$1")
two=$(artifact inspect --quiet "$2")
if [ "$one" = "$two" ]; then
    echo "same: $one"
else
    echo "different: $one and $two"
    exit 1
fi
