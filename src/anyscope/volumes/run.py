"""The three passes over a volume: predict blocks, join their objects, write the outputs.

```
image --blocks (any engine)--> labels of core + overlap, sums of objects          WORKSPACE/blocks/
      --pairs of neighbours--> matches --union--> ids by first voxel               numbers.npy, *.parquet
      --shards (any engine)--> OME-Zarr, resolution after resolution               OUT.ome.zarr
```
All data lie on disk between the passes, and what is finished is marked after that; so a run can be killed at any time,
and be divided among machines that share nothing but the disk. WORKSPACE is ``NAME.blocks`` beside ``NAME.ome.zarr``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyscope.errors import BadInput, Incomplete, explain_os_errors
from anyscope.images import stem_of
from anyscope.running.atomic import remove, write_text
from anyscope.running.engines import Engine, ThisProcess
from anyscope.running.ledger import Cell, Ledger
from anyscope.running.progress import progress
from anyscope.running.run_folder import RunFolder
from anyscope.volumes.blocks import BlockResult, BlockTask, do_block, forget_workers
from anyscope.volumes.matching import Matches, match_block
from anyscope.volumes.numbering import number_objects, write_equivalences
from anyscope.volumes.objects import ObjectSums, write_volume_table
from anyscope.volumes.plan import PLAN_FILE, VolumePlan
from anyscope.volumes.storage import BlockStore
from anyscope.volumes.writing import ShardTask, create_outputs, levels_of, output_path, write_one

Task = TypeVar("Task")
Result = TypeVar("Result")

_FEW = 8
"""Fewer tasks than this are done here: starting workers would take longer."""
_LISTED = 20


@dataclass(frozen=True)
class Part:
    """One of ``of`` equal parts of the blocks, counted from 1.

    Raises:
        BadInput: There is no such part.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            found = f"{self.number}/{self.of}"
            raise BadInput("--shard", found, "K/N with K from 1 to N", "job arrays count from 1: --array=1-N")

    @classmethod
    def parse(cls, text: str) -> Part:
        """From ``K/N``.

        >>> Part.parse("2/8")
        Part(number=2, of=8)
        """
        number, slash, of = text.partition("/")
        if not (slash and number.strip().isdigit() and of.strip().isdigit()):
            raise BadInput("--shard", repr(text), "K/N, such as 3/16")
        return cls(int(number), int(of))

    def blocks(self, count: int) -> range:
        """The numbers of its blocks: every ``of``-th, so that empty corners of a volume are shared by all."""
        return range(self.number - 1, count, self.of)


@dataclass(frozen=True)
class Outcome:
    """What became of a volume.

    Args:
        blocks: Number of blocks.
        empty: How many were skipped.
        failed: Numbers and reasons of those that could not be read.
        objects: Objects of the volume; None for masks and classes.
    """

    blocks: int
    empty: int
    failed: tuple[tuple[int, str], ...]
    objects: int | None = None


def workspace_of(out: Path) -> Path:
    """Where all that is no result lies.

    >>> workspace_of(Path("a/labels.ome.zarr")).name
    'labels.blocks'
    """
    return out.with_name(f"{stem_of(out)}.blocks")


def probability_of(out: Path) -> Path:
    """Where the probability goes."""
    return out.with_name(f"{stem_of(out)}_probability.ome.zarr")


def predict_blocks(plan: VolumePlan, engine: Engine, part: Part, *, resume: bool, force: bool) -> Outcome:
    """The first pass: the blocks of a part that are not done yet."""
    folder = _part_folder(plan, part)
    if force and part.of == 1:
        remove(plan.folder)
    run = RunFolder.start(folder, plan.model_dump(mode="json"), resume=resume, force=force)
    _keep_plan(plan)
    store = BlockStore(plan.folder, plan.grid)
    with run.explain_interrupt(), _ledger(folder) as ledger:
        ledger.forget_failures()
        results = {n: one for n, one in _results(ledger).items() if store.has(n) or not one.stored}
        own = part.blocks(len(plan.grid))
        left = [number for number in own if number not in results]
        with progress("predict", len(own), "blocks", len(own) - len(left)) as shown:
            for task, result in engine.run(partial(do_block, plan), _tasks(left, engine)):
                ledger.write([Cell((f"{task.number:09d}",), result._asdict(), result.failure)])
                shown.advance()
        forget_workers()
        failed = tuple((int(cell.key[0]), cell.failure or "") for cell in ledger.failures())
        empty = sum(one.empty for one in _results(ledger).values())
    if not failed:
        run.finish({"blocks": len(own), "empty": empty})
    return Outcome(len(own), empty, failed)


def join_blocks(plan: VolumePlan, engine: Engine, out: Path, table: Path | None) -> Outcome:
    """The second and the third pass, once all parts are there; blocks that failed are background.

    Args:
        plan: The plan.
        engine: Who does it.
        out: Where the labels go.
        table: A copy of the table of objects goes here, if anywhere.
    """
    results, failed = collect(plan)
    store = BlockStore(plan.folder, plan.grid, plan.decoding.linker is not None)
    objects, table_path = None, plan.folder / "objects.parquet"
    digest = hashlib.sha256(json.dumps([sorted(results.items()), failed]).encode())
    if plan.decoding.joining != "nothing":
        matches = _matches(plan, engine, results)
        sums = [store.objects(n) if results.get(n, BlockResult()).objects else _NONE for n in range(len(plan.grid))]
        numbers, joined = number_objects(store, plan.decoding, sums, matches)
        objects = len(joined)
        digest.update(numbers.numbers.tobytes())
        with explain_os_errors(plan.folder):
            numbers.save(plan.folder)
        write_equivalences(plan.folder, numbers, sums, matches)
        for path in (table_path,) if table is None else (table_path, table):
            write_volume_table(path, joined, plan.grid.shape, plan.voxel_size)
        del matches, sums, numbers, joined
    _write(plan, engine, objects or 0, digest.hexdigest())
    for name, final in (("labels", out), ("probability", probability_of(out))):
        if output_path(plan, name).exists():
            remove(final)
            with explain_os_errors(final):
                os.replace(output_path(plan, name), final)
    remove(plan.folder / "join.sqlite")
    outcome = Outcome(len(plan.grid), sum(one.empty for one in results.values()), failed, objects)
    summary = {"blocks": outcome.blocks, "empty": outcome.empty, "objects": objects, "failed": dict(failed)}
    if failed:
        write_text(plan.folder / "incomplete.json", json.dumps(summary, indent=2) + "\n")
    else:
        remove(plan.folder / "incomplete.json")
        write_text(plan.folder / "finished.json", json.dumps(summary, indent=2) + "\n")
        remove(plan.folder / "blocks")
    return outcome


_NONE = ObjectSums.joined([])


def refuse_failures(outcome: Outcome, subject: Path) -> None:
    """End a run whose blocks failed with the list.

    Raises:
        Incomplete: Some failed.
    """
    if outcome.failed:
        listed = "; ".join(f"block {number}: {reason}" for number, reason in outcome.failed[:_LISTED])
        more = f"; and {len(outcome.failed) - _LISTED} more" if len(outcome.failed) > _LISTED else ""
        found = (
            f"{len(outcome.failed)} of {outcome.blocks} blocks could not be read, the others are done: {listed}{more}"
        )
        raise Incomplete(subject, found, remedy="mend the image and try these again with --resume")


def read_plan(workspace: Path) -> VolumePlan:
    """The plan of a workspace.

    Raises:
        BadInput: There is none.
    """
    if not (workspace / PLAN_FILE).is_file():
        raise BadInput(workspace, "holds no plan", "what 'anyscope predict --out NAME.ome.zarr --shard K/N' leaves")
    return VolumePlan.read(workspace / PLAN_FILE)


def collect(plan: VolumePlan) -> tuple[dict[int, BlockResult], tuple[tuple[int, str], ...]]:
    """The results of all parts, and the blocks that failed.

    Raises:
        BadInput: Parts are missing or unfinished.
    """
    folders = sorted((plan.folder / "parts").glob("*-of-*"))
    found = {name.name for name in folders}
    totals = {int(name.rpartition("-")[2]) for name in found}
    if len(totals) != 1:
        raise BadInput(plan.folder, f"parts of {', '.join(map(str, sorted(totals))) or 'nothing'}", "one --shard K/N")
    missing = [f"{k}/{n}" for n in totals for k in range(1, n + 1) if f"{k}-of-{n}" not in found]
    if missing:
        some = ", ".join(missing[:_LISTED])
        raise BadInput(plan.folder, f"shards {some} were never run", remedy="run predict with these --shard first")
    results: dict[int, BlockResult] = {}
    failed: list[tuple[int, str]] = []
    for folder in folders:
        with _ledger(folder) as ledger:
            results |= _results(ledger)
            failed += [(int(cell.key[0]), cell.failure or "") for cell in ledger.failures()]
    known = set(results) | {number for number, _ in failed}
    left = [number for number in range(len(plan.grid)) if number not in known]
    if left:
        found_text = f"{len(left)} of {len(plan.grid)} blocks are not done (such as {left[0]})"
        raise BadInput(plan.folder, found_text, remedy="run the shards again with --resume")
    return results, tuple(sorted(failed))


def _part_folder(plan: VolumePlan, part: Part) -> Path:
    return plan.folder / "parts" / f"{part.number}-of-{part.of}"


def _ledger(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.sqlite", ("block",))


def _keep_plan(plan: VolumePlan) -> None:
    """Write the plan, or make sure that other parts have the same."""
    path = plan.folder / PLAN_FILE
    if not path.exists():
        plan.write(path)
    elif VolumePlan.read(path).model_dump() != plan.model_dump():
        raise BadInput(plan.folder, "was begun with other settings", "the same for all shards", "give another --out")


def _results(ledger: Ledger) -> dict[int, BlockResult]:
    return {int(cell.key[0]): BlockResult(**cell.result) for cell in ledger.cells() if cell.failure is None}


def _tasks(numbers: list[int], engine: Engine) -> list[BlockTask]:
    """Blocks in their order; who does them all one after the other can read ahead."""
    following: list[int | None] = [*numbers[1:], None] if isinstance(engine, ThisProcess) else [None] * len(numbers)
    return [BlockTask(number, ahead) for number, ahead in zip(numbers, following, strict=True)]


def _run(engine: Engine, function: Callable[[Task], Result], tasks: list[Task]) -> Iterator[tuple[Task, Result]]:
    return (engine if len(tasks) >= _FEW else ThisProcess()).run(function, tasks)


def _matches(plan: VolumePlan, engine: Engine, results: dict[int, BlockResult]) -> Matches:
    """The pairs of all blocks, in the order of blocks."""
    numbers = sorted(number for number, one in results.items() if one.objects)
    with progress("match", len(numbers), "blocks") as shown:
        found = {}
        for number, matches in _run(engine, partial(match_block, plan), numbers):
            found[number] = matches
            shown.advance()
    return Matches.joined([found[number] for number in numbers])


def _write(plan: VolumePlan, engine: Engine, objects: int, digest: str) -> None:
    """The outputs, or what is missing of them; those of other objects are begun again."""
    with Ledger(plan.folder / "join.sqlite", ("digest", "output", "level", "shard")) as ledger:
        done = {key[1:] for key in ledger.done() if key[0] == digest}
        if ("labels", "", "") not in done:
            names = create_outputs(plan, objects)
            ledger.write([Cell((digest, "labels", "", ""), list(names))])
        names = ("labels", "probability") if plan.probabilities else ("labels",)
        levels = levels_of(plan)
        total = len(names) * sum(len(level) for level in levels)
        with progress("write", total, "shards", max(0, len(done) - 1)) as shown:
            for number, level in enumerate(levels):
                tasks = [ShardTask(name, number, shard) for name in names for shard in range(len(level))]
                left = [task for task in tasks if _key(task) not in done]
                for task, _ in _run(engine, partial(write_one, plan, objects), left):
                    ledger.write([Cell((digest, *_key(task)), True)])
                    shown.advance()


def _key(task: ShardTask) -> tuple[str, str, str]:
    return task.output, str(task.level), str(task.shard)
