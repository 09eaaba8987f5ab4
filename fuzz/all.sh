#!/usr/bin/env bash
# Runs every target for so many seconds (default: 600), one after the other, and prints how each ended.
# What it finds on its way goes to $WORK (default: a new temporary directory), failures to artifacts/.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-600}
work=${WORK:-$(mktemp -d)}
failed=0
for target in corpus/*/; do
  target=$(basename "$target")
  mkdir -p "$work/$target"
  log=$work/$target.log
  if cargo +nightly fuzz run ${FUZZ_FLAGS:-} "$target" "$work/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 >"$log" 2>&1; then
    echo "$target: held; $(grep -o 'Done [0-9]* runs' "$log" || true)"
  else
    failed=1
    echo "$target: FAILED; see $log"
  fi
done
exit $failed
