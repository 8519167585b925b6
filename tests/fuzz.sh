#!/usr/bin/env bash
# Has libFuzzer look for inputs that break what has to hold of damaged frames and datagrams (tests/fuzz).
# usage: tests/fuzz.sh [SECONDS] [TARGET...]      (60 seconds for each of frames, answers, datagrams, bytes)
#
# Needs cargo-fuzz and the nightly compiler: `cargo install cargo-fuzz; rustup toolchain install nightly`. What it has learned stays in
# target/fuzz; an input that breaks something is named, and `cargo +nightly fuzz run --fuzz-dir tests/fuzz/targets TARGET FILE` runs it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || set -- frames answers datagrams bytes
cargo +nightly fuzz --version >/dev/null || { sed -n 5,6p "$0" >&2; exit 2; }
cargo run --release --quiet --package ultraloom-fuzz --example seeds target/fuzz/corpus
for target in "$@"; do
  echo "== $target"
  mkdir -p "target/fuzz/artifacts/$target"
  cargo +nightly fuzz run --fuzz-dir tests/fuzz/targets --target-dir target/fuzz "$target" "target/fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=20 -print_final_stats=1 -artifact_prefix="target/fuzz/artifacts/$target/"
done
