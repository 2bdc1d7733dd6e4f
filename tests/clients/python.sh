#!/usr/bin/env bash
# Makes .venv with aiocometd, which runs on Python 3.7 to 3.9 only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

find_python() {
  local version candidate
  for version in 3.9 3.8 3.7; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      # A shim of pyenv is there for versions that are not active, and only fails when run.
      if "$candidate" -c 'import venv' 2>/dev/null; then
        echo "$candidate"
        return
      fi
    done
  done
  echo 'aiocometd needs Python 3.9, 3.8 or 3.7: install one, for example `pyenv install 3.9`' >&2
  return 1
}

# The copy is written last, so a venv that was not finished is made again.
if ! cmp -s requirements.txt .venv/installed; then
  python="$(find_python)"
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/pip install --quiet --requirement requirements.txt
  cp requirements.txt .venv/installed
fi
