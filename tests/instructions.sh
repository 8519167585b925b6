#!/usr/bin/env bash
# Counts the instructions of a permutation of 2 MB on 128 hosts (profile htsim, NSCC, mixed spraying),
# from the first window to the last, and prints them per packet-hop. The same work is timed by
# `cargo bench --package ultraloom-tests --bench hops` as permutation/128x2MB. Needs valgrind. The count
# does not depend on the machine's load.
#
# With --check it fails if there are more than 5 % more than the stored figure says, which holds for the compiler
# that it names; --store stores a new one.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "SKIP instruction count: valgrind is not installed"; exit 0; }
# As the tests build it: alone, its dependencies would have other features and be built a second time.
cargo test --release --workspace --no-run --quiet
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cat >"$work/scenario.toml" <<'SCENARIO'
profile = "htsim"
[topology]
hosts = 128
[workload]
kind = "permutation"
bytes = "2 MB"
[records]
series = false
SCENARIO
valgrind --tool=callgrind --toggle-collect='fabric::engine::threads::execute*' --callgrind-out-file="$work/out" \
  target/release/ultraloom run "$work/scenario.toml" \
  --threads 1 --output json --out "$work/run" >"$work/json" 2>"$work/log"
instructions=$(awk '/^(summary|totals):/ {print $2; exit}' "$work/out")
hops=$(grep -m1 -o '"hops": *[0-9]*' "$work/json" | grep -o '[0-9]*')
each=$((instructions / hops))
echo "instructions $instructions, packet-hops $hops, $each instructions a packet-hop"

if [ "$each" -lt 100 ]; then
  echo "that is no packet-hop: the engine's functions were not found" >&2
  exit 1
fi

stored=results/baselines/instructions.txt
compiler=$(rustc --version)
case "${1:-}" in
  --store) printf '%s\n%s\n' "$compiler" "$each" >"$stored" ;;
  --check)
    { read -r known; read -r before; } <"$stored"
    if [ "$known" != "$compiler" ]; then
      echo "SKIP comparison: the stored figure was taken with $known, this is $compiler"
    elif [ $((each * 100)) -gt $((before * 105)) ]; then
      echo "more than 5 % above the stored $before: mend it, or say why and store it (tests/instructions.sh --store)" >&2
      exit 1
    fi
    ;;
esac
