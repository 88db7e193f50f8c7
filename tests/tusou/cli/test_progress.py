"""Progress on stderr: bars, lines where there is no terminal, and the notices beside them."""

import pytest

from tusou.cli.progress import ProgressBars, ProgressLines, progress


def test_a_bar_shows_the_finished_steps(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBars()
    bar.begin("encoding", 4, done=1)
    bar.advance(3, note="2 failed")
    bar.close()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "encoding" in printed.err
    assert "4/4" in printed.err
    assert "2 failed" in printed.err


def test_a_bar_moves_to_a_position_backwards_too(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBars()
    bar.move_to("replaying", 30, 50)
    bar.move_to("replaying", 10, 50)
    bar.close()
    printed = capsys.readouterr().err
    assert "10/50" in printed
    assert printed.count("replaying") == 1


def test_a_notice_is_printed_once_in_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    for display in (ProgressBars(), ProgressLines()):
        for message in ("overloaded [retrying]", "overloaded [retrying]", "unreachable"):
            display.notice(message)
        assert capsys.readouterr().err == "overloaded [retrying]\nunreachable\n"


def test_without_a_terminal_a_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as display:
        display.begin("encoding", 4, done=1)
        display.advance(3, note="2 failed")
        display.begin("building", 0)
    assert capsys.readouterr().err == "encoding 4/4 in 0 s, 2 failed\nbuilding 0 in 0 s\n"


def test_long_work_prints_a_line_every_so_often(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    display = ProgressLines(seconds=15, clock=lambda: now)
    display.begin("encoding", 30_000, done=1000)
    for _ in range(40):
        now += 1
        display.advance(20)
    assert capsys.readouterr().err == (
        "encoding 1300/30000, 20.0/s, 24 min left\nencoding 1600/30000, 20.0/s, 24 min left\n"
    )
    now += 7200
    display.move_to("encoding", 30_000, 30_000)
    display.close()
    assert capsys.readouterr().err == (
        "encoding 30000/30000, 4.0/s, 0 s left\nencoding 30000/30000 in 2 h 1 min\n"
    )


def test_without_work_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress():
        pass
    assert capsys.readouterr() == ("", "")
