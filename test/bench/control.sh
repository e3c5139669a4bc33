#!/bin/sh
# Controls one daemon of this checkout for black-box bench kits: control.sh {fg|start|stop|kill9|clean-cache|clean|pid|uri|log}
#
#   fg           run the daemon in the foreground
#   start        run it in the background; returns at once, does not wait for the socket
#   stop         SIGTERM, then wait until it has ended; domains go on
#   kill9        SIGKILL the daemon only
#   clean-cache  forget every capability version (the daemon must run, or is started for it)
#   clean        stop it and remove all its state
#
# State is in $CHRONOVISOR_BENCH_DIR, /tmp/chronovisor-bench if that is not set.
set -eu
project=$(cd "$(dirname "$0")/../.." && pwd)
directory=${CHRONOVISOR_BENCH_DIR:-/tmp/chronovisor-bench}
socket=$directory/run/libvirt-sock
launcher=$project/src/launcher.js
export CHRONOVISOR_STATE_DIR="$directory/state" CHRONOVISOR_SOCKET_DIR="$directory/run"

pid() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$directory/run/daemon.json" 2>/dev/null; }
runs() { [ -n "$(pid)" ] && [ -d "/proc/$(pid)" ] && tr '\0' ' ' <"/proc/$(pid)/cmdline" | grep -q launcher; }
prepare() { mkdir -p "$directory/run"; chmod 755 "$directory"; }
# The package's own Node at once where it is: the launcher would start it as a second process.
node=$project/node_modules/.bin/node
[ -x "$node" ] || node=node
stop() {
  runs || return 0
  ended=$(pid)
  kill -TERM "$ended"
  i=0
  while [ -d "/proc/$ended" ] && [ $i -lt 1500 ]; do sleep 0.02; i=$((i + 1)); done
}
case ${1:-} in
  fg) prepare; exec "$node" "$launcher" daemon --log-level warn ;;
  start) prepare; "$node" "$launcher" daemon --log-level warn </dev/null >>"$directory/daemon.log" 2>&1 & ;;
  stop) stop ;;
  kill9) kill -KILL "$(pid)" ;;
  clean-cache)
    if runs; then "$node" "$launcher" caps forget --all; else
      "$0" start
      i=0
      until runs && [ -S "$socket" ] || [ $i -ge 1500 ]; do sleep 0.02; i=$((i + 1)); done
      "$node" "$launcher" caps forget --all
      stop
    fi ;;
  clean) stop; rm -rf "$directory" ;;
  pid) pid ;;
  uri) echo "qemu+unix:///system?socket=$socket" ;;
  log) cat "$directory/daemon.log" ;;
  *) sed -n 2,12p "$0"; exit 2 ;;
esac
