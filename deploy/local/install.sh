#!/bin/sh
# Make a virtual environment of exactly what a lock says: install.sh FOLDER LOCK
# Adds Java (deploy/locks/java.txt) where the machine has none of version 17 or newer.
set -eu

java_at_least_17() {
    for program in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
        command -v "$program" >/dev/null || continue
        "$program" -version 2>&1 |
            awk -F'"' '/version/ { split($2, v, "."); ok = v[1] >= 17 } END { exit !ok }' && return
    done
    return 1
}

here=$(dirname "$0")
folder=$1
set -- "$2"
java_at_least_17 || set -- "$1" deploy/locks/java.txt
echo "installing $* into $folder"
"$here/uv.sh" venv --quiet --allow-existing "$folder"
"$here/uv.sh" pip sync --quiet --require-hashes --python "$folder/bin/python" "$@"
