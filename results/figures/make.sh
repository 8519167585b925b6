#!/usr/bin/env bash
# Makes the headline figures of this folder anew, from their scenarios: results/figures/make.sh [ULTRALOOM]
# The digests of the runs are those of results/baselines/scenarios; a test holds them to that.
set -euo pipefail
cd "$(dirname "$0")/../.."
ultraloom=$(realpath "${1:-target/release/ultraloom}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# figure: scenario, command after the run, file of the run's folder
run() {
  local figure=$1 scenario=$2 made=$3
  "$ultraloom" run "topologies/scenarios/$scenario.toml" --out "$work/$figure" --output quiet
  if [[ $made == plots/* ]]; then
    "$ultraloom" plot "$work/$figure" --only "$(basename "$made")" >/dev/null
  fi
  cp "$work/$figure/$made.svg" "results/figures/$figure.svg"
  cp "$work/$figure/$made.png" "results/figures/$figure.png"
}

run default default completion
run permutation sprayed-permutation completion
run incast incast completion
run failure switch-down plots/throughput
"$ultraloom" run topologies/scenarios/shootout.toml --out "$work/shootout" --output quiet
cp "$work/shootout/slowdown.png" results/figures/shootout.png
"$ultraloom" sweep topologies/scenarios/sweep.toml --out "$work/sizes" --output quiet
cp "$work/sizes/sweep.svg" results/figures/all-reduce-by-size.svg
cp "$work/sizes/sweep.png" results/figures/all-reduce-by-size.png
"$ultraloom" bench --large --filter permutation --runs 3 --threads 1 --save "$work/one.json" --output quiet
"$ultraloom" bench --large --filter permutation --runs 3 --threads 2 --against "$work/one.json" --tolerance 0.9 \
  --figure results/figures/speed --output quiet
