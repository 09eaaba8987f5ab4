#!/bin/sh
# Prints how long files and functions of src/ are, in lines, unit tests left out: median, ninth decile, longest.
# rustfmt puts the end of a function at the indent of its beginning, which is how it is found here.
cd "$(dirname "$0")/.." || exit 1
find src -name '*.rs' ! -name 'tests.rs' | sort | xargs awk '
    FNR == 1 { close_file(); file = FILENAME; cut = 0; inside = 0 }
    /^#\[cfg\(test\)\]$/ || /^mod (tests|unit) \{$/ { cut = 1 }
    cut { next }
    { lines = FNR }
    !inside && /^ *((pub(\([a-z:_ ]+\))?|const|async|unsafe|extern|default) )*fn [a-z_]/ {
        match($0, /^ */); indent = RLENGTH; begin = FNR; inside = 1; name = $0
        sub(/.*fn /, "", name); sub(/[^a-z0-9_].*/, "", name)
        if ($0 ~ /[;}]$/) { end_function() }
        next
    }
    inside && match($0, /^ */) && RLENGTH == indent && /^ *(}|.*;)$/ { end_function() }
    function end_function() { print "function", FNR - begin + 1, file ":" begin " " name; inside = 0 }
    function close_file() { if (file != "") print "file", lines, file }
    END { close_file() }
' | sort -k1,1 -k2,2n | awk '
    $1 != kind { report(); kind = $1; n = 0 }
    { n++; length_of[n] = $2; $1 = ""; what[n] = $0 }
    END { report() }
    function report() {
        if (kind == "") return
        printf "%ss: %d, median %d, p90 %d, longest:\n", kind, n, length_of[int((n + 1) / 2)], length_of[int(n * 0.9)]
        for (i = n; i > n - 8 && i > 0; i--) print "  " what[i]
    }
'
