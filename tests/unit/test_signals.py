"""Signals are heard whichever thread of the process they reach."""

import signal
import subprocess
import sys
import textwrap


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, whose main thread waits for good."""
    begin = """
        import os, signal, sys, threading
        from rasterflight_server.flight.signals import take_signals
    """
    program = textwrap.dedent(begin) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_a_signal_that_reaches_another_thread_is_heard() -> None:
    done = run(
        """
        def end(number):
            print("heard", number, flush=True)
            os._exit(0)

        take_signals({signal.SIGTERM: end})
        threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
        threading.Event().wait()
        """
    )
    assert (done.returncode, done.stdout) == (0, f"heard {signal.SIGTERM.value}\n"), done.stderr


def test_what_fails_does_not_keep_the_next_one_from_being_heard() -> None:
    done = run(
        """
        def fail(number):
            raise RuntimeError("no")

        take_signals({signal.SIGHUP: fail, signal.SIGTERM: lambda number: os._exit(7)})
        os.kill(os.getpid(), signal.SIGHUP)
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        threading.Event().wait()
        """
    )
    assert done.returncode == 7
    assert f"what signal {signal.SIGHUP.value} asks for has failed" in done.stderr
