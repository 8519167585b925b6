#!/usr/bin/env bash
# The checks of this project, one verb each; CONTRIBUTING.md has a paragraph on every one.
# usage: tests/ci.sh fmt|clippy|test|doc|pure|guard|mpi|bench|all
set -euo pipefail
cd "$(dirname "$0")/.."

fmt() { cargo fmt --all --check; }
clippy() { cargo clippy --workspace --all-targets --quiet -- -D warnings; }
tests() { cargo test --release --workspace; }
doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet; }

# Pure packages may depend on nothing that reads a clock, socket or file: an allow-list. (smoltcp without its
# devices has only a clock, which clippy.toml forbids. petgraph hashes, but gives the value of a flow, which is unique.)
pure() {
  local package
  for package in ultraloom-fabric ultraloom-transports ultraloom-topologies ultraloom-workloads; do
    local found
    found=$(cargo tree --package "$package" --edges normal --prefix none --format '{p}' |
      awk '{print $1}' | sort -u |
      grep -vxE 'ultraloom-(fabric|transports|topologies|workloads)|rand|rand_core|rand_xoshiro|thiserror|thiserror-impl|crc|crc-catalog|serde|serde_core|serde_derive|postcard|cobs|petgraph|foldhash|fixedbitset|indexmap|hashbrown|equivalent|prost|prost-derive|anyhow|itertools|either|bytes|quick-xml|memchr|serde_json|itoa|zmij|smoltcp|bitflags|byteorder|cfg-if|hash32|heapless|managed|stable_deref_trait|strsim|proc-macro2|quote|syn|unicode-ident|yaml-rust2|hashlink|arraydeque' || true)
    if [ -n "$found" ]; then
      echo "$package depends on: $found" >&2
      return 1
    fi
  done
}

# The packet-hop costs no more instructions than stored, by 5 %; where valgrind is installed.
guard() { tests/instructions.sh --check; }

# One emulation over several processes; where an MPI library and libclang are installed.
mpi() {
  if ! command -v mpirun >/dev/null || ! command -v mpicc >/dev/null; then
    echo "SKIP mpi: no MPI library is installed"
    return
  fi
  # Of the whole workspace, so that dependencies have the features that they were built with before.
  cargo clippy --workspace --features ultraloom/mpi --all-targets --quiet -- -D warnings
  cargo test --release --workspace --features ultraloom/mpi --test mpi
}

# Criterion benchmarks, and instruction counts where valgrind is installed.
bench() {
  cargo bench --package ultraloom-tests --bench hops
  tests/instructions.sh
}

all() { fmt; clippy; pure; tests; doc; guard; mpi; }

case "${1:-all}" in
  test) tests ;;
  fmt | clippy | doc | pure | bench | guard | mpi | all) "$1" ;;
  *) sed -n 2,3p "$0" >&2; exit 2 ;;
esac
