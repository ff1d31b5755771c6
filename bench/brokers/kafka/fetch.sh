#!/bin/sh
# Kafka is a Java program on Maven Central. Copies the broker of pom.xml and everything it needs into a folder of the
# user's cache, once, and prints the folder. Needs `mvn` and the network the first time, nothing after that.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n '/<artifactId>kafka_2.13</{n;s/.*<version>\(.*\)<.*/\1/p;}' "$here/pom.xml")
libs=${XDG_CACHE_HOME:-$HOME/.cache}/sendstate/kafka-$version
if [ ! -d "$libs" ]; then
  rm -rf "$libs.partial"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.partial" >&2
  mv "$libs.partial" "$libs"
fi
echo "$libs"
