"""A fork of this process to do harm in: what is done to it ends with it."""

import faulthandler
import os
import resource
import signal
import traceback

SURVIVED, HARMED, ENDED, BROKEN = 42, 43, 44, 45
ROOM_BYTES = 1 << 28


def comes_to(deed, cpu_s, wall_s):
    """What becomes of a process that does a deed, which returns whether it did harm.

    ``SURVIVED`` or ``HARMED``; ``ENDED`` when the deed ended it as Python programs end,
    or the number of the signal that did, below 0. It has so much CPU and wall time and
    a bounded amount of memory on top of what it takes now.
    """
    process = os.fork()
    if process == 0:
        code = BROKEN
        try:
            _limit(cpu_s, wall_s)
            code = HARMED if deed() else SURVIVED
        except (SystemExit, KeyboardInterrupt):
            code = ENDED
        except BaseException:  # noqa: BLE001 (shown, and failed over below)
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return -signal.SIGSTOP
    code = os.waitstatus_to_exitcode(status)
    assert code != BROKEN, "an error of the test's, shown above"
    return code


def _limit(cpu_s, wall_s):
    faulthandler.disable()
    with open("/proc/self/statm") as pages:
        held = int(pages.read().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, held + ROOM_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    for ending in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, wall_s)
