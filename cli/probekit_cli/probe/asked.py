"""What the options of `probekit probe` ask: settings of questions, with combinations that mean nothing refused."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probekit_cli.memory import Limit
from probekit_cli.where import Where

if TYPE_CHECKING:
    from probekit.attribution import AttributionSettings
    from probekit.pairs import PairSettings

BINARY = "binary"
SEEDS_OF_SHOTS = 5


@dataclass(frozen=True)
class Asked:
    """The options, grouped."""

    where: Where
    train: str
    test: str | None
    tasks: tuple[str, ...]
    probes: tuple[str, ...]
    pool: bool
    leave_one_out: bool
    across: str | None
    choose_features: bool
    shots: str | None
    seeds: int | None
    perturbed: str | None
    fuse: bool
    common: dict[str, Any]
    """Of `TrialSettings`."""
    threshold: str
    curves: bool
    save: bool | None
    device: str
    """`cpu` or `cuda:1`."""
    limit: Limit
    """What features may take of the memory."""

    def __post_init__(self) -> None:
        from probekit import probes
        from probekit.attribution import TASKS
        from probekit.registry import unknown_name

        for task in self.tasks:
            if task not in (BINARY, *TASKS):
                raise unknown_name("task", task, (BINARY, *TASKS))
        for name in self.probes:
            probes.get(name)
        if self.across not in (None, "domain"):
            raise unknown_name("--across", str(self.across), ["domain"])
        self._refuse_contradictions()
        self._refuse_what_has_no_effect()

    def _refuse_contradictions(self) -> None:
        """Nothing, if the options can be meant together.

        Raises:
            UsageError: they contradict each other.
        """
        from probekit.errors import UsageError

        further = [f"--{name.replace('_', '-')}" for name, value in self.further.items() if value not in (None, False)]
        if len(further) > 1:
            raise UsageError(f"{further[0]} and {further[1]} are two questions: ask them one after the other.")
        given = {
            "--pool": self.pool,
            "--leave-one-out": self.leave_one_out,
            "--threshold": self.threshold != "0.5",
            "--seeds": self.seeds,
            "--curves": self.curves and BINARY not in self.tasks,
        }
        for_binary = [*further, *(name for name, value in given.items() if value)]
        if self.attributing and for_binary:
            raise UsageError(f"{for_binary[0]} is for --task binary: leave it out, or ask that task alone.")
        if self.pool and self.leave_one_out:
            raise UsageError("--pool and --leave-one-out: choose one.")
        if self.leave_one_out and self.train != "all":
            raise UsageError("--leave-one-out trains on all generators but one: leave --train out.")

    def _refuse_what_has_no_effect(self) -> None:
        """Nothing, if every option that was given has something to do.

        Raises:
            UsageError: one has not.
        """
        from probekit.errors import UsageError

        by_criterion = self.common["criterion"] is not None and not self.choose_features
        choosing = {"--criterion": by_criterion, "--oracle": self.common["selection"] == "oracle"}
        without_effect = [flag for flag, given in choosing.items() if given and not self._chooses]
        if without_effect:
            raise UsageError(f"{without_effect[0]}: {self.probes[0]} has nothing left to choose: leave it out.")
        if self.common["unit"] != "group" and self.common["aggregate"] is None:
            raise UsageError(f"--unit {self.common['unit']} is for videos: give --aggregate, too.")
        matrices = {"--shots": self.shots, "--perturbed": self.perturbed, "--seeds": self.seeds not in (None, 1)}
        several = [name for name, given in matrices.items() if given not in (None, False)]
        if self.curves and several:
            raise UsageError(f"--curves draws the curves of a matrix, which {several[0]} has many of: leave it out.")
        if self.save and self.shots is not None:
            raise UsageError("--save keeps no probes of --shots: leave it out, and save those of a matrix.")

    @property
    def _chooses(self) -> bool:
        """Whether condition or parameter of any probe is left to choose."""
        from probekit import probes
        from probekit.probes.selection import Choice

        given = {name: self.common.get(probes.get(name).parameter or "") for name in self.probes}
        return any(Choice(name, self.common["condition"], value).open for name, value in given.items())

    @property
    def attributing(self) -> bool:
        """Whether it is asked which generator made an image."""
        return any(task != BINARY for task in self.tasks)

    @property
    def further(self) -> dict[str, Any]:
        """Questions beyond the matrix, of which one can be asked at a time."""
        return {
            "shots": self.shots,
            "perturbed": self.perturbed,
            "fuse": self.fuse,
            "choose_features": self.choose_features,
        }

    @property
    def shot_numbers(self) -> "list[int | None] | None":
        """Training images of each generator; in the list None means all of them."""
        from probekit.protocols import parse_shots

        return None if self.shots is None else list(parse_shots(self.shots))

    def pairs(self) -> "list[PairSettings]":
        """One a probe, if the binary task is asked."""
        from probekit.pairs import PairSettings
        from probekit.protocols import all_but_one, parse_pools

        if BINARY not in self.tasks:
            return []
        train = self.train
        if self.leave_one_out:
            train = all_but_one(self.where.manifest.table)
        elif self.pool:
            train = "+".join(pool.name for pool in parse_pools(train, self.where.manifest.table))
        return [
            PairSettings(
                train=train,
                test="all" if self.test is None else self.test,
                across=self.across,
                probe=name,
                threshold=self.threshold,
                seeds=self.seeds or (1 if self.shots is None else SEEDS_OF_SHOTS),
                **self.common,
            )
            for name in self.probes
        ]

    def attributions(self) -> "list[AttributionSettings]":
        """One a task, probe and, across domains, pair of domains."""
        from probekit.attribution import AttributionSettings

        return [
            AttributionSettings(
                generators=self.train,
                test="all" if self.test is None else self.test,
                task=task,
                probe=name,
                train_domain=train_domain,
                test_domain=test_domain,
                **self.common,
            )
            for task in self.tasks
            if task != BINARY
            for name in self.probes
            for train_domain, test_domain in self._domains()
        ]

    def _domains(self) -> list[tuple[str | None, str | None]]:
        """Ordered pairs of the domains that have fakes of all generators named; none where they are not told apart."""
        from probekit.protocols import parse_pools

        if not self.across:
            return [(None, None)]
        table = self.where.manifest.table
        fakes = table[table["label"] == 1]
        named = (
            set()
            if self.train == "all"
            else {maker for pool in parse_pools(self.train, table) for maker in pool.makers}
        )
        places = {str(domain): set(own) for domain, own in fakes.groupby("domain")["generator"]}
        domains = sorted(domain for domain, own in places.items() if named <= own) or sorted(places)
        return [(train, test) for train in domains for test in domains]
