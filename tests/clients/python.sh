#!/usr/bin/env bash
# Makes .venv with aiocometd-ng and aiosfstream-ng, and .venv-3.9 with aiocometd, which runs on Python 3.7
# to 3.9 only, if there is such a Python. With --find it only tells whether there is a Python for the first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

CURRENT=(3.13 3.12 3.11 3.10)

# Says which of these versions of Python is there.
find_python() {
  local version candidate
  for version in "$@"; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      # A shim of pyenv is there for versions that are not active, and only fails when run.
      if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$candidate"
        return
      fi
    done
  done
  return 1
}

# Makes a folder with the packages of a list. The copy of that is written last, so a venv that was not
# finished is made again.
make_venv() {
  local folder="$1" requirements="$2" python="$3"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet --requirement "$requirements"
  cp "$requirements" "$folder/installed"
}

if [[ ${1:-} == --find ]]; then
  find_python "${CURRENT[@]}"
  exit
fi
if ! cmp -s requirements.txt .venv/installed; then
  if ! python="$(find_python "${CURRENT[@]}")"; then
    echo 'no Python 3.10 to 3.13 with venv: on Debian, apt-get install python3-venv' >&2
    exit 1
  fi
  make_venv .venv requirements.txt "$python"
fi
if ! cmp -s requirements-3.9.txt .venv-3.9/installed; then
  if python="$(find_python 3.9 3.8 3.7)"; then
    make_venv .venv-3.9 requirements-3.9.txt "$python"
  else
    echo 'LEFT OUT: aiocometd, which needs Python 3.9, 3.8 or 3.7 (say, `pyenv install 3.9`)' >&2
  fi
fi
