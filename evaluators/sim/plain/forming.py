"""How the plain engine decides what its next step does."""

import numpy as np

from evaluators.sim.plain import plan
from evaluators.sim.plain.request import (
    Request,
    capped,
)
from evaluators.sim.plain.state import PlainState, Work
from evaluators.sim.queue import INFINITY
from evaluators.sim.run import Decision


class PlainForming(PlainState):
    """Forms the next step by what the policy says, request by request."""

    def _ask(self) -> None:
        due, self.dirty = self.dirty, False
        policy = self.policy
        if not due:
            return
        if policy.schedule:
            plan.ask(self)
            return
        room = self._slots_taken() < self.scenario.deployment.max_running
        if not (room and self.waiting and policy.answers_admission):
            return
        matters = len(self.waiting) > 1 or (self.running and policy.holds_back)
        ranked = policy.admit_key is not None and matters
        self.keys = {}
        if not (ranked or policy.sizes_steps):
            return
        if ranked:
            self.waiting.sort(key=lambda request: (request.arrived_ps, request.row))
        rows = [request.row for request in self.waiting]
        view = self.panel.waiting(rows) if ranked else None
        answer = policy.admission(view, self.engine_view())
        if answer.budget is not None:
            most = self.scenario.deployment.max_step_tokens
            self.budget = min(most, max(1, answer.budget))
        if answer.cap is not None:
            self.cap = answer.cap
        if answer.keys is not None:
            self.keys = dict(zip(rows, answer.keys.tolist(), strict=True))
            self.waiting.sort(key=lambda request: self.keys[request.row])

    def _form(self) -> Work:
        """Who computes how many tokens: by the plan, or by ranks and caps."""
        if self.policy.schedule:
            return plan.form(self)
        alone = len(self.waiting) + len(self.running) == 1
        cap = 0 if alone else self.cap
        if self.policy.victim_key:
            self._sort_victims(cap)
        wants = {id(r): capped(r.goal - r.computed, cap) for r in self.running}
        work, budget, preempted = self.serve_running(wants, self.budget)
        if preempted:
            return work
        most = self.scenario.deployment.max_running
        while self.waiting and budget > 0 and self._slots_taken() < most:
            request = self.waiting[0]
            if self.running and self.keys.get(request.row) == INFINITY:
                break
            want = self.admit(request, cap, budget)
            if want is None:
                break
            del self.waiting[0]
            if want:
                work.append((request, want))
            budget -= want
        return work

    def serve_running(
        self, wants: dict[int, int], budget: int
    ) -> tuple[Work, int, bool]:
        """Serve running requests up to their wants and the budget, in order.

        Returns who computes what, the budget left, and whether any was preempted.
        """
        work: Work = []
        preempted, at = False, 0
        while at < len(self.running) and budget > 0:
            request = self.running[at]
            want = min(wants[id(request)], budget)
            if want <= 0 or request.ready_ps > self.now_ps:
                at += 1
                continue
            while not self._allocate(request, want):
                victim = self.running.pop()
                self.preempt(victim)
                preempted = True
                if victim is request:
                    return work, budget, True
            work.append((request, want))
            budget -= want
            at += 1
        return work, budget, preempted

    def _sort_victims(self, cap: int) -> None:
        """Order the running set by the policy if its allocations would not all fit."""
        need, budget = 0, self.budget
        for request in self.running:
            want = min(capped(request.goal - request.computed, cap), budget)
            want *= request.ready_ps <= self.now_ps
            need += self.blocks(request.computed + want) - self._held_blocks(request)
            budget -= want
        if need <= self.free or self.policy.victim_key is None:
            return
        view, engine = self.running_view(), self.engine_view()
        keys = self.policy.ranks(self.policy.victim_key, view, engine)
        order = np.argsort(keys, kind="stable")
        self.running = [self.running[i] for i in order]

    def admit(self, request: Request, cap: int, budget: int) -> int | None:
        """Let a waiting request run if its memory is free.

        Returns the tokens it computes in this step, None if it stays where it is.
        """
        hit, idle = self.cache.hits(request.row, request.goal) if self.cache else (0, 0)
        done = hit * self.scenario.deployment.block_tokens
        want = min(capped(request.goal - done, cap), budget)
        need = self.blocks(done + want) - hit
        if self.scenario.deployment.reserve_full_prompt:
            need = self.blocks(request.goal) - hit
        if need + idle > self.free:
            return None
        if self.cache:
            self.cache.admit(request.row, hit, self.now_ps)
            self.free = self.cache.free
        request.computed = done
        self.ledger.hit_tokens[request.row] += done
        self._allocate(request, want)
        self._enter(request)
        return want

    def _enter(self, request: Request) -> None:
        """A waiting request whose memory is taken runs from now on."""
        self.running.append(request)
        if self.ledger.admitted_ps[request.row] < 0:
            self.ledger.admitted_ps[request.row] = self.now_ps
        self.record.decisions.append(Decision(self.now_ps, "admit", request.row))
