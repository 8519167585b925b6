#!/usr/bin/env bash
# Frames a second through `ultraloom live` on one core, with the lag, beside a plain bridge and `tc netem`, in one run.
# usage: tests/live_rate.sh [SECONDS] [PROGRAM]      (root, iproute2, ethtool, iperf3, ping; default: 5, target/release/ultraloom)
#
# All three join two namespaces whose interfaces have an MTU of 1500 and no offloads, so that frames are those of a wire. iperf3 sends by TCP as
# fast as it can, on the other cores. Frames are those of both directions, as interfaces count them.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5}
program=${2:-target/release/ultraloom}
work=$(mktemp -d)
own=ulrate$$

clean() {
  [ -z "${emulator:-}" ] || kill "$emulator" 2>/dev/null || true
  for space in a b between; do ip netns del "$own-$space" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean EXIT

# Two namespaces with an interface each, as those of a session are.
spaces() {
  for space in a b between; do ip netns add "$own-$space"; done
  for end in a b; do
    ip -n "$own-$end" link add eth0 type veth peer name "to-$end" netns "$own-between"
    ip netns exec "$own-$end" ethtool -K eth0 tx off rx off tso off gso off gro off sg off >/dev/null
    ip -n "$own-$end" link set eth0 up
    ip -n "$own-between" link set "to-$end" up
  done
  ip -n "$own-a" addr add 10.0.0.1/8 dev eth0
  ip -n "$own-b" addr add 10.0.0.2/8 dev eth0
  ip -n "$own-between" link add between type bridge
  for end in a b; do ip -n "$own-between" link set "to-$end" master between; done
  ip -n "$own-between" link set between up
}

frames() { ip netns exec "$1" cat /sys/class/net/eth0/statistics/rx_packets /sys/class/net/eth0/statistics/tx_packets | paste -sd+ | bc; }

# measure NAME FROM TO: a line of the table.
measure() {
  local pin="" before after goodput rtt
  [ "$(nproc)" = 1 ] || pin="taskset -c 1-$(($(nproc) - 1))"
  ip netns exec "$3" $pin iperf3 --server --one-off --daemon
  sleep 0.5
  rtt=$(ip netns exec "$2" ping -q -c 200 -i 0.005 10.0.0.2 | sed -n 's|^rtt.* = [^/]*/\([^/]*\)/.*|\1|p')
  before=$(frames "$2")
  goodput=$(ip netns exec "$2" $pin iperf3 --client 10.0.0.2 --time "$seconds" --json |
    sed -n '/"sum_received"/,/}/s/.*"bits_per_second":[[:space:]]*\([0-9.e+]*\).*/\1/p' | head -1)
  after=$(frames "$2")
  awk -v name="$1" -v frames=$((after - before)) -v s="$seconds" -v bits="$goodput" -v rtt="$rtt" -v more="${4:-}" \
    'BEGIN { printf "| %s | %.0f | %.2f | %.0f | %s |\n", name, frames / s, bits / 1e9, rtt * 1000, more }'
}

echo "| path | frames/s | goodput, Gb/s | ping, us | lag of frames, us (p50, p99, p99.9) |"
echo "|---|---|---|---|---|"
spaces
measure "bridge" "$own-a" "$own-b" "-"
# A queueing discipline at both ends, over the bridge; where the kernel has no netem, the token bucket, which has a rate and no delay.
discipline() { for end in a b; do ip netns exec "$own-$end" tc qdisc add dev eth0 root "$@" 2>/dev/null || return 1; done; }
if discipline netem delay 4us rate 10gbit limit 100000; then
  measure "netem, 10 Gb/s, 4 us" "$own-a" "$own-b" "-"
else
  echo "SKIP netem: this kernel has none; tbf instead" >&2
  discipline tbf rate 10gbit burst 1mb latency 10ms
  measure "tbf, 10 Gb/s" "$own-a" "$own-b" "-"
fi

cat >"$work/rate.toml" <<SCENARIO
name = "rate"
[topology]
kind = "leaf-spine"
hosts = 4
hosts_per_leaf = 2
spines = 2
link_rate = "10 Gb/s"
link_delay = "1 us"
[[host]]
number = [0, 1]
attach = "veth"
[live]
tolerance = "1 s"
SCENARIO
for mode in sleep busy; do
  taskset -c 0 "$program" live "$work/rate.toml" --session "$own" --set live.mode=$mode --output json >"$work/out.json" &
  emulator=$!
  sleep 2
  line=$(measure "ultraloom, 10 Gb/s, $mode" "ultraloom-$own-h0" "ultraloom-$own-h1" LAG)
  kill -INT "$emulator"
  wait "$emulator" || true
  emulator=
  lag=$(sed -n 's/.*"lag":{[^}]*"p50_us":\([0-9.]*\),"p999_us":\([0-9.]*\),"p99_us":\([0-9.]*\).*/\1, \3, \2/p' "$work/out.json")
  echo "${line/LAG/$lag}"
done
