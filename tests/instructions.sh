#!/usr/bin/env bash
# Counts the instructions of a permutation of 2 MB on 128 hosts (profile htsim, NSCC, mixed spraying) and
# prints them per packet-hop. Needs valgrind. The count does not depend on the machine's load.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "SKIP instruction count: valgrind is not installed"; exit 0; }
cargo build --release --quiet --bin ultraloom
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
valgrind --tool=callgrind --callgrind-out-file="$work/out" \
  target/release/ultraloom run topologies/scenarios/perm128.toml \
  --threads 1 --output json --out "$work/run" >"$work/json" 2>"$work/log"
instructions=$(awk '/^(summary|totals):/ {print $2; exit}' "$work/out")
hops=$(grep -m1 -o '"hops": *[0-9]*' "$work/json" | grep -o '[0-9]*')
echo "instructions $instructions, packet-hops $hops, $((instructions / hops)) instructions a packet-hop"
