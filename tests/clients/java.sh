#!/usr/bin/env bash
# Makes java/target with a driver of CometD's Java client, and with what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/java"

# The sum is written last, so what was not finished is made again.
sum="$(cat pom.xml src/main/java/*.java | sha256sum)"
if [[ $sum != "$(cat target/sum 2>/dev/null)" ]]; then
  mvn --quiet --batch-mode clean package
  echo "$sum" >target/sum
fi
