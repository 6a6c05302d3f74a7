"""From findings to repairs, and from repairs to what became of them."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mvenv.apply.rebuild import flush_rebuilt
from mvenv.diagnose.entries import Count, EntryLook
from mvenv.diagnose.model import Finding, HealClass, Level
from mvenv.diagnose.subject import Subject
from mvenv.doctor.comparing import compare
from mvenv.doctor.env_repair import plan_file_repair, plan_files_repair
from mvenv.doctor.generating import Generated, digest_of, generate, generate_bare
from mvenv.doctor.identity import REWRITTEN
from mvenv.doctor.leftovers import plan_removal
from mvenv.doctor.means import Means, Unhealable
from mvenv.doctor.model import DoctorRequest, Fate, Outcome, Rescued
from mvenv.doctor.records import restore_records
from mvenv.doctor.steps import Carrier, Repair, is_right_by_now, reason_of
from mvenv.doctor.store_repair import plan_store_repair
from mvenv.doctor.whole import holds_still, plan_whole_repair
from mvenv.doctor.written_repair import Ward
from mvenv.env.receipt import BUILDING
from mvenv.errors import MvenvError
from mvenv.locking import lock_folder
from mvenv.progress import Reporter
from mvenv.store.entries import StaleWheels
from mvenv.store.layout import ADOPTED, StoreKey

__all__ = ["QUIETLY", "Healing"]

_WHOLE = frozenset({"F30", "F31", "F33", "F34", "F48"})
_ENTRY = frozenset({"F40", "F45"})
QUIETLY = frozenset({"F43", "F44"})
"""Put right by the way where they are no faults."""
_RESTORED = "`--restore` puts the original back, and keeps yours"


@dataclass(slots=True, kw_only=True)
class Healing:
    """One round of healing: a store and the environments that were looked at."""

    request: DoctorRequest
    means: Means
    subjects: tuple[Subject, ...]
    reporter: Reporter
    outcomes: list[Outcome] = field(default_factory=list)
    _wards: dict[Path, Ward] = field(default_factory=dict)

    def heal(self, findings: Iterable[Finding]) -> None:
        """Heal what may be healed; put down what became of each finding."""
        chosen = [self._refined(one) for one in findings]
        if self.request.only:
            chosen = [one for one in chosen if one.code in self.request.only]
        allowed = []
        for finding in chosen:
            why = self._why_not(finding)
            if why is None:
                allowed.append(finding)
            else:
                fate = Fate.DRIFT if finding.drift else Fate.LEFT
                self._put_down(finding, fate, why)
        # The store first: what environments are healed from must be right.
        entries, rest = _parted(allowed, lambda one: one.code in _ENTRY)
        stored, others = _parted(rest, self._is_stored)
        whole, files = _parted(others, lambda one: one.code in _WHOLE)
        for some in (entries, stored, whole):
            self._heal_some(some)
        anew = {
            one.finding.where
            for one in self.outcomes
            if one.finding.code in REWRITTEN and one.fate is Fate.HEALED
        }
        # A folder comes before what belongs in it.
        still = [one for one in files if holds_still(one, anew)]
        self._heal_some(sorted(still, key=lambda one: one.code != "F04"))

    def _is_stored(self, finding: Finding) -> bool:
        return finding.where == self.means.layout.root

    def _why_not(self, finding: Finding) -> str | None:
        """Return why a finding is left alone, or `None` where it is to be healed."""
        if self.request.restore and finding.code == "F10":
            return None
        if finding.drift and finding.code not in QUIETLY:
            return _RESTORED if finding.code == "F10" else ""
        if finding.heal is HealClass.REPORT:
            return finding.remedy or ""
        if self.request.check:
            return "" if finding.drift else self._what_would_help(finding)
        if finding.heal is HealClass.FIX and not self.request.fix:
            return "`--fix` heals it, and keeps the present bytes"
        return None

    def _what_would_help(self, finding: Finding) -> str:
        if finding.heal is HealClass.FIX:
            full = " --full" if finding.code == "F09" else ""
            return f"`mvenv doctor{full} --fix` heals it, and keeps the present bytes"
        full = " --full" if finding.code in {"F16", "F18"} else ""
        return f"`mvenv doctor{full}` heals it"

    def _refined(self, finding: Finding) -> Finding:
        """Return the finding with what only the right bytes can tell of it."""
        if finding.code not in {"F06", "F09"} or finding.expected is None:
            return finding
        bad = self._file_of(finding)
        self.means.sources.distrust(bad, finding.expected)
        good = self.means.sources.find(finding.expected, spare=bad)
        return finding if good is None else compare(finding, bad, good)

    @staticmethod
    def _file_of(finding: Finding) -> Path:
        return finding.where / (finding.path or "")

    def _heal_some(self, findings: list[Finding]) -> None:
        """Plan all, fetch what is lacking in one go, plan those again, carry out."""
        lacking: dict[StoreKey, None] = {}
        repairs: list[tuple[Finding, Repair | Unhealable]] = []
        for finding in findings:
            planned = self._plan(finding)
            repairs.append((finding, planned))
            key = finding.wheel or (finding.expected and finding.expected.wheel)
            if isinstance(planned, Unhealable) and planned.lacks_bytes and key:
                lacking[key] = None
        if not self.request.writes:
            for finding, planned in repairs:
                self._foresee(finding, planned)
            return
        if lacking:
            self.means.sources.fetch(lacking)
            repairs = [(finding, self._plan(finding)) for finding in findings]
        with self._locked(repairs):
            carrier = Carrier(renew=self._renew)
            for finding in findings:
                with self._entry_locked(finding):
                    self._heal_one(finding, carrier)

    @contextlib.contextmanager
    def _entry_locked(self, finding: Finding) -> Iterator[None]:
        """Keep others from the files of an entry while one of them is put right."""
        with contextlib.ExitStack() as stack:
            if self._is_stored(finding) and self.means.run is not None:
                # In one order, or two who heal would wait for each other.
                for key in sorted(self._entries_of(finding)):
                    stack.enter_context(self.means.store.locked(key))
            yield

    def _entries_of(self, finding: Finding) -> set[StoreKey]:
        """Return the entries that have the file of a finding in the store."""
        expected = finding.expected
        if finding.wheel is None or expected is None:
            return set()
        keys = {finding.wheel}
        with contextlib.suppress(OSError):
            seen = self._file_of(finding).lstat()
            inode = (seen.st_dev, seen.st_ino)
            alike = self.means.users.stored_alike(expected, inode)
            keys.update(name.key for name in alike)
        return keys

    def _plan(self, finding: Finding) -> Repair | Unhealable:
        try:
            return self._repair_for(finding)
        except Unhealable as why:
            return why
        except (MvenvError, OSError) as error:
            return Unhealable(reason_of(error))

    def _repair_for(self, finding: Finding) -> Repair:
        if self._is_stored(finding):
            if self.request.writes and self.means.run is None:
                raise Unhealable("the store must not be written")
            return plan_store_repair(finding, self.means)
        if finding.code == "F36":
            return self._sweep(finding)
        if finding.code == "F28":
            return self._restore_records(finding)
        if finding.code == "F49":
            raise Unhealable("its files stay as they are: they share nothing any more")
        ward = self._ward(finding.where)
        if finding.files:
            return plan_files_repair(finding, ward, self.means)
        if finding.code in _WHOLE:
            return plan_whole_repair(finding, ward, self.means, self.request.environ)
        return plan_file_repair(finding, ward, self.means)

    def _sweep(self, finding: Finding) -> Repair:
        if finding.path == BUILDING:
            return self._finish(finding)
        return plan_removal(finding)

    def _finish(self, finding: Finding) -> Repair:
        """Let what was begun in place be healed, if the store knows what it was."""
        place, means = finding.where, self.means
        root = means.users.at(place)
        if root is None or means.users.plan(root) is None:
            raise Unhealable("nothing says what it was to become")

        def finish() -> None:
            with (place / BUILDING).open("rb") as mark:
                # Whoever fills it holds this lock.
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                restore_records(place, means.layout, means.users)
                (place / BUILDING).unlink()

        return Repair(finding=finding, words="finished", act=finish)

    def _restore_records(self, finding: Finding) -> Repair:
        def restore() -> str:
            self._wards.pop(finding.where, None)
            return restore_records(finding.where, self.means.layout, self.means.users)

        return Repair(finding=finding, words="written again", act=restore)

    def _ward(self, place: Path) -> Ward:
        known = self._wards.get(place)
        if known is not None:
            return known
        subject = next((one for one in self.subjects if one.place == place), None)
        if subject is None or subject.receipt is None or subject.plan is None:
            raise Unhealable("its records are lost: run the same command again")
        ward = _ward_of(subject, self.request.writes)
        self._wards[place] = ward
        return ward

    @contextlib.contextmanager
    def _locked(
        self, repairs: Iterable[tuple[Finding, Repair | Unhealable]]
    ) -> Iterator[None]:
        """Hold every environment that will be changed, in an order all keep to."""
        places = {one.place for one in self.subjects}
        touched = set()
        for finding, planned in repairs:
            if finding.where in places:
                touched.add(finding.where)
            if isinstance(planned, Repair):
                touched |= {step.root.folder for step in planned.steps}
        store = self.means.layout.root
        folders = sorted(
            folder
            for folder in touched
            if not folder.is_relative_to(store) and folder.is_dir()
        )
        with contextlib.ExitStack() as stack:
            for folder in folders:
                stack.enter_context(lock_folder(folder, exclusive=True))
            yield

    def _foresee(self, finding: Finding, planned: Repair | Unhealable) -> None:
        if isinstance(planned, Unhealable):
            self._put_down(finding, *self._without_repair(finding, planned))
        else:
            self._put_down(finding, Fate.PLANNED, planned.words)

    def _heal_one(self, finding: Finding, carrier: Carrier) -> None:
        """Heal one finding, as things are by now."""
        if is_right_by_now(finding):
            self._put_down(finding, Fate.HEALED, "right by now")
            return
        planned = self._plan(finding)
        if isinstance(planned, Unhealable):
            self._put_down(finding, *self._without_repair(finding, planned))
            return
        try:
            words, rescued = carrier.carry_out(planned)
        except Unhealable as why:
            self._put_down(finding, Fate.LEFT, str(why))
        except (MvenvError, OSError) as error:
            self._put_down(finding, Fate.FAILED, reason_of(error))
        else:
            self._put_down(finding, Fate.HEALED, words, rescued)
            self.reporter.detail(f"{finding.path or finding.where}: {words}")
            if finding.code in _ENTRY and finding.wheel is not None:
                self._look_again(finding.wheel)

    def _without_repair(self, finding: Finding, why: Unhealable) -> tuple[Fate, str]:
        key = finding.wheel or (finding.expected and finding.expected.wheel)
        fetchable = why.lacks_bytes and key and self.means.sources.can_fetch(key)
        if self.request.dry_run and fetchable:
            return Fate.PLANNED, "put right from the wheel, which would be fetched"
        # A file of its own is no damage: its bytes are right.
        harmless = finding.drift or finding.code == "F11"
        return (Fate.DRIFT if harmless else Fate.LEFT), str(why)

    def _look_again(self, key: StoreKey) -> None:
        """Hash an entry that was made again, and heal what is wrong in it still."""
        count = Count()
        look = EntryLook(
            layout=self.means.layout,
            key=key,
            level=Level.FULL,
            users=self.means.users,
            count=count,
        )
        look.look()
        left = [one for one in count.findings if one.code not in _ENTRY]
        if left:
            self.heal(left)

    def _renew(self, source: str) -> bool:
        """Give a stored file a fresh inode, since its old one takes no more links."""
        run, store = self.means.run, self.means.store
        root, path = self.means.layout.root, Path(source)
        if run is None or not path.is_relative_to(root):
            return False
        # wheels/<2>/<key>/tree/<path>
        folder, _, name, _, *inside = (*path.relative_to(root).parts, "", "", "", "")
        prefix = {"wheels": "", "adopted": ADOPTED}.get(folder)
        if prefix is None:
            return False
        with contextlib.suppress(StaleWheels):
            member = "/".join(filter(None, inside))
            store.fresh_inode(StoreKey(prefix + name), member, run)
            return True
        return False

    def _put_down(
        self,
        finding: Finding,
        fate: Fate,
        words: str,
        rescued: tuple[Rescued, ...] = (),
    ) -> None:
        face = self._face(finding)
        if face is not None:
            own = self._file_of(finding)
            rescued = tuple(
                one._replace(place=face) if one.place == own else one for one in rescued
            )
        self.outcomes.append(
            Outcome(finding=finding, fate=fate, words=words, rescued=rescued, face=face)
        )

    def _face(self, finding: Finding) -> Path | None:
        """Return a stored file under the name that it has in an environment."""
        expected = finding.expected
        if not self._is_stored(finding) or expected is None or finding.wheel is None:
            return None
        known = [one.place for one in self.subjects]
        places = self.means.users.places(finding.wheel, expected.member)
        hit = [one for one in places if one.environment in finding.users]
        hit.sort(key=lambda one: (one.environment not in known, one.environment))
        return hit[0].file if hit else None

    def flush(self) -> None:
        """Write what was healed to the disk; `SystemFault` where that fails."""
        from mvenv.store.durability import flush_file_system

        if not any(one.fate is Fate.HEALED for one in self.outcomes):
            return
        devices: dict[int, Path] = {}
        for folder in (self.means.layout.root, *(one.place for one in self.subjects)):
            devices.setdefault(folder.stat().st_dev, folder)
        flush_rebuilt(self.means.rebuilt, self.means.store)
        for folder in devices.values():
            flush_file_system(folder)


def _ward_of(subject: Subject, writes: bool) -> Ward:
    receipt, plan = subject.receipt, subject.plan
    if receipt is None or plan is None:
        raise Unhealable("its records are lost")

    @cache
    def generated() -> Mapping[str, Generated]:
        made = generate(plan, receipt.path)
        rows = {row.path: row.sha256 for row in receipt.generated}
        try:
            bare = dict(generate_bare(receipt, subject.layout if writes else None))
        except (MvenvError, OSError):
            # Without its interpreter the bare part cannot be known.
            return made
        return made | {
            path: one
            for path, one in bare.items()
            # As another tool made it, and it was adopted.
            if path not in made or digest_of(made[path]) != rows.get(path)
        }

    return Ward(place=subject.place, receipt=receipt, plan=plan, generated=generated)


def _parted(
    findings: Iterable[Finding], first: Callable[[Finding], bool]
) -> tuple[list[Finding], list[Finding]]:
    yes: list[Finding] = []
    no: list[Finding] = []
    for finding in findings:
        (yes if first(finding) else no).append(finding)
    return yes, no
