#!/usr/bin/env bash
# Installs the packages of npm and PyPI that the tests together with other programs need, where they are not there yet:
# into ~/.cache/artifact-peers, or where ARTIFACT_PEERS says.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=${ARTIFACT_PEERS:-$HOME/.cache/artifact-peers}

npm=(@sigstore/verify@3.1.1 @sigstore/bundle@4.0.0 @sigstore/core@3.2.1 @sigstore/protobuf-specs@0.5.2)
wanted="${npm[*]}"
if [[ $(cat "$to/npm/installed" 2>/dev/null) != "$wanted" ]]; then
  mkdir -p "$to/npm"
  echo '{"private": true}' >"$to/npm/package.json"
  (cd "$to/npm" && npm install --no-audit --no-fund --no-update-notifier --ignore-scripts --save-exact "${npm[@]}" >/dev/null)
  echo "$wanted" >"$to/npm/installed"
fi

if ! cmp -s "$here/requirements.txt" "$to/python/installed"; then
  python3 -m venv --clear "$to/python"
  "$to/python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$to/python/installed"
fi
