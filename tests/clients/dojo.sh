#!/usr/bin/env bash
# Makes .dojo-0.4 with Dojo 0.4.3, which npm does not have: a Struts plug-in ships it whole.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
artifact=org.apache.struts:struts2-dojo-plugin:2.3.37
inside=org/apache/struts2/static/dojo

# The name is written last, so what was not finished is made again.
if [[ ! -e .dojo-0.4/installed || $(<.dojo-0.4/installed) != "$artifact" ]]; then
  folder="$(mktemp -d)"
  trap 'rm -rf "$folder"' EXIT
  mvn --quiet --batch-mode "$plugin:copy" "-Dartifact=$artifact" "-DoutputDirectory=$folder"
  python3 -m zipfile -e "$folder"/*.jar "$folder"
  rm -rf .dojo-0.4
  mkdir .dojo-0.4
  cp -R "$folder/$inside/." .dojo-0.4
  echo "$artifact" >.dojo-0.4/installed
fi
