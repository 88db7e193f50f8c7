"""The process behind several fronts: it owns the engine, the signals and the exit code."""

import asyncio
import contextlib
import signal
import socket

from tusou_service.engine.engine import Engine
from tusou_service.experiment.ab_test import Experiment
from tusou_service.fronts.front import Setup
from tusou_service.fronts.keeper import Fronts
from tusou_service.fronts.remote import answerers
from tusou_service.gc_tuning import settled
from tusou_service.http.auth import ApiKeys
from tusou_service.http.rate_limit import make_rate_limiter
from tusou_service.settings import Settings
from tusou_service.shutdown import BROKEN_SHUTDOWN_S, EXIT_BROKEN, Ending

# How often to look at the engine, and to tell the fronts of its queue.
_LOOK_SECONDS = 0.025


async def serve(
    settings: Settings,
    listener: socket.socket,
    engine: Engine,
    keys: ApiKeys | None,
    trial: Experiment | None,
) -> int:
    """Have fronts serve until a signal or a failure; return the exit code."""
    listener.settimeout(0)
    ending = Ending(engine, settings.drain_s, trial)
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ending.drain)
    engines = trial.engines if trial else (engine,)
    answers = answerers(engines, trial, make_rate_limiter(settings.requests()))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(settled(engine))
        if trial:
            await stack.enter_async_context(trial)
        fronts = Fronts(Setup(settings, keys), listener, engines, answers)
        await stack.enter_async_context(fronts)
        while not ending.due():
            fronts.press()
            await asyncio.sleep(_LOOK_SECONDS)
            if fronts.failure:
                ending.fail(EXIT_BROKEN, fronts.failure)
        await fronts.stop(BROKEN_SHUTDOWN_S if ending.exit_code else settings.shutdown_s)
    return ending.exit_code
