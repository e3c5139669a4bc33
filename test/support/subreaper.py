#!/usr/bin/python3
"""Runs a command as the child of a process that adopts and reaps every orphan below it, and ends when all have ended.

A daemon that double-forks QEMU and then waits until its process number is free is otherwise charged for the laziness of
process 1: in containers that one may reap only after seconds.
"""
import ctypes
import os
import signal
import sys

SET_CHILD_SUBREAPER = 36  # linux/prctl.h

if ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
child = os.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
# A signal to this process is meant for the command; what the command leaves behind is only waited for.
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda given, _frame: os.kill(child, given))
status = 0
while True:
    try:
        ended, how = os.wait()
    except ChildProcessError:
        break
    if ended == child:
        status = os.waitstatus_to_exitcode(how)
        # From here on the process number may belong to somebody else.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
sys.exit(status if status >= 0 else 128 - status)
