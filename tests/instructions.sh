#!/usr/bin/env bash
# Counts the instructions of a permutation of 2 MB on 128 hosts (profile htsim, NSCC, mixed spraying),
# from the first window to the last, and prints them per packet-hop. The same work is timed by
# `cargo bench --package ultraloom-tests --bench hops` as permutation/128x2MB. Needs valgrind. The count
# does not depend on the machine's load.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "SKIP instruction count: valgrind is not installed"; exit 0; }
cargo build --release --quiet --bin ultraloom
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cat >"$work/scenario.toml" <<'SCENARIO'
profile = "htsim"
[topology]
hosts = 128
[workload]
kind = "permutation"
bytes = "2 MB"
SCENARIO
valgrind --tool=callgrind --toggle-collect='fabric::run::Run*execute*' --callgrind-out-file="$work/out" \
  target/release/ultraloom run "$work/scenario.toml" \
  --threads 1 --output json --out "$work/run" >"$work/json" 2>"$work/log"
instructions=$(awk '/^(summary|totals):/ {print $2; exit}' "$work/out")
hops=$(grep -m1 -o '"hops": *[0-9]*' "$work/json" | grep -o '[0-9]*')
echo "instructions $instructions, packet-hops $hops, $((instructions / hops)) instructions a packet-hop"
