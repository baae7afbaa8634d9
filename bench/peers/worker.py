"""The side of a measurement that the driver talks to: one line of JSON for each line it writes.

A worker says that it is ready, with what the driver should know; then it answers every line with the seconds of one more
step, and the end of input with its peak memory.
"""

import json
import os
import sys
import time

# What libraries print must not come between the answers.
answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)


def say(**answer):
    print(json.dumps(answer), file=answers, flush=True)


def resident_mib(key='VmRSS'):
    """Memory of this process from /proc/self/status: VmRSS now, VmHWM at most so far."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key))


def serve(step, **ready):
    """Answers the driver until it has no more questions. `step` does the work once."""
    say(ready=True, **ready)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        say(seconds=time.perf_counter() - start)
    say(peakMib=resident_mib('VmHWM'))
