"""One decision from beginning to end (page, sections 3 to 5)."""

from typing import Any

from server.hotpath.reasons import (
    R_ARITHMETIC_RANGE,
    R_BELOW_MIN_LOT,
    R_ENUM_VALUE_UNKNOWN,
    R_EXIT_CLIPPED,
    R_IDEMPOTENCY_FULL,
    R_LOT_STEP,
    R_NOT_REDUCING,
    R_POSITION_UNKNOWN,
    R_POSITIONS_FULL,
    R_RESERVATIONS_FULL,
    REASONS_MAX,
    S_CUT,
    S_DENY,
    S_PASS,
)
from server.hotpath.records import (
    CONFLICT,
    DECIDED,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    INVALID,
    KNOWN_HOLD,
    KNOWN_LARGEST,
    REPEATED,
    REQUEST,
    REQUEST_DIGEST_WORDS,
)
from server.hotpath.rows import WHEEL_SHIFT
from tests.reference.arithmetic import lot_steps, lots_of, price_ticks
from tests.reference.books import Account, Books, Hold, Remembered
from tests.reference.breakers import Breakers
from tests.reference.checks import Checks
from tests.reference.controls import Controls
from tests.reference.judgement import ALLOW, CAPS, DENY, REDUCE, Judgement, indices_of
from tests.reference.rows import NO_ID, read_request
from tests.reference.sizing import Model, Sizing
from tests.reference.validity import find_fault, has_unknown_enum

IDEMPOTENCY_DROPS_MAX = 64
QUOTA_DIVISOR = 8
RESERVED_DIVISOR = 64


class Decisions:
    """Judges requests against the books."""

    def __init__(self, books: Books, models: dict[int, Model], breakers: Breakers) -> None:
        self.books = books
        self.breakers = breakers
        self.checks = Checks(books, breakers)
        self.controls = Controls(books)
        self.sizing = Sizing(books, models)

    def decide(self, row: Any) -> tuple[int, dict[str, Any]]:
        books, request = self.books, read_request(row)
        instrument = books.instruments.get(request.symbol)
        found = None if has_unknown_enum(request) else find_fault(request, instrument)
        if found is not None:
            return INVALID, {"field": found[0], "problem": found[1]}
        account = books.accounts.get(request.account_id)
        if account is not None and not account.alive:
            account = None
        digest = row.tobytes()[: 8 * REQUEST_DIGEST_WORDS]
        assert len(digest) < REQUEST.itemsize
        remembers = request.client_order_id != NO_ID and account is not None and not request.dry_run
        key = (request.account_id, request.client_order_id)
        if remembers and key in books.remembered:
            known = books.remembered[key]
            if known.digest != digest:
                return CONFLICT, {}
            return REPEATED, {"sequence": known.decision_id}
        if account is not None:
            books.roll(account)
        case = Judgement(request, account, instrument)
        if remembers and account is not None:
            remembers = self._make_room(case, account)
        books.sequence += 1
        self._judge(case)
        self._conclude(case)
        if remembers and account is not None:
            books.remembered[key] = Remembered(account, digest, books.sequence, books.now)
            account.idempotency += 1
        return DECIDED, self._fill(case)

    def _make_room(self, case: Judgement, account: Account) -> bool:
        """Return whether the id of this request can be remembered."""
        books, capacity = self.books, self.books.capacity.idempotency
        quota = capacity // QUOTA_DIVISOR
        for _attempt in range(IDEMPOTENCY_DROPS_MAX + 1):
            if len(books.remembered) < capacity and account.idempotency < quota:
                case.set(S_PASS, R_IDEMPOTENCY_FULL)
                return True
            key, oldest = next(iter(books.remembered.items()))
            if _attempt == IDEMPOTENCY_DROPS_MAX:
                break
            if not books.now - oldest.made_at > books.idempotency_min_age:
                break
            del books.remembered[key]
            oldest.account.idempotency -= 1
        if not case.request.reduce_only:
            case.deny(R_IDEMPOTENCY_FULL)
        return False

    def _judge(self, case: Judgement) -> None:
        checks, request = self.checks, case.request
        checks.service(case)
        if has_unknown_enum(request):
            full = case.status[R_IDEMPOTENCY_FULL]
            case.status = bytearray(REASONS_MAX)
            case.limit, case.observed = {}, {}
            case.status[R_IDEMPOTENCY_FULL] = full
            case.deny(R_ENUM_VALUE_UNKNOWN)
            return
        case.check(R_ENUM_VALUE_UNKNOWN, denied=False)
        if case.account is not None:
            case.answer["equity_age_ns"] = checks.age(case.account.equity_at)
        if not (checks.identity(case) and checks.kills(case)):
            return
        self._set_aside(case)
        if request.reduce_only:
            self._judge_exit(case)
        else:
            self._judge_new_risk(case)

    def _judge_new_risk(self, case: Judgement) -> None:
        checks, sizing, request = self.checks, self.sizing, case.request
        case.answer["session"] = sizing.session(request)
        case.override = case.account.overrides.get(request.symbol)
        case.net = case.account.positions.get((request.symbol, NO_ID))
        checks.account(case)
        checks.provider(case)
        checks.prices(case)
        checks.market(case)
        self.controls.instrument(case)
        self.controls.flow(case)
        sizing.slippage(case)
        sizing.buffer(case)
        sizing.stops(case)
        self.breakers.judge(case)
        sizing.size(case)
        sizing.position_drawdown(case)
        if case.sizes_known:
            sizing.caps(case)
            self.controls.caps(case)
            sizing.fit(case)
            self._price_hold(case)
        self._judge_room(case)

    def _set_aside(self, case: Judgement) -> None:
        """Take the hold of the order to be replaced out of all sums."""
        hold = self.books.find_hold(case.account, case.request.replaces_client_order_id)
        if hold is not None and hold.in_use:
            case.replaced = hold
            self.books.shift_hold(hold, -1, hold.left, hold.risk, hold.notional)

    def _price_hold(self, case: Judgement) -> None:
        """Work out what a hold would cost, so that sums out of range deny instead of wrapping."""
        exact, answer, account = case.exact, case.answer, case.account
        case.hold_risk = exact.cost(case.lot, answer["loss_per_lot_micros"], case.instrument)
        per_lot = answer["notional_per_lot_micros"]
        case.hold_notional = exact.cost(case.lot, per_lot, case.instrument)
        exact.kept(account.held_risk + case.hold_risk)
        exact.kept(account.held_notional + case.hold_notional)

    def _judge_room(self, case: Judgement) -> None:
        books, capacity = self.books, self.books.capacity.reservations
        count, quota = case.account.reservations, capacity // QUOTA_DIVISOR
        full = capacity - books.holds_in_use <= capacity // RESERVED_DIVISOR or count >= quota
        case.check(R_RESERVATIONS_FULL, denied=full, limit=quota, observed=count)
        no_room = case.net is None and not books.has_room_for_positions(1)
        case.check(R_POSITIONS_FULL, denied=no_room)

    # --- Exits --------------------------------------------------------------------------------

    def _judge_exit(self, case: Judgement) -> None:
        books, request = self.books, case.request
        row = case.account.positions.get((request.symbol, request.position_id))
        count, capacity = books.holds_in_use, books.capacity.reservations
        case.check(R_RESERVATIONS_FULL, denied=count >= capacity, limit=capacity, observed=count)
        unknown = row is None or row.net == 0
        case.check(R_POSITION_UNKNOWN, denied=unknown)
        if unknown:
            return
        case.exit_row = row
        grows = row.net * case.sign > 0
        case.check(R_NOT_REDUCING, denied=grows)
        if grows:
            return
        available = max(0, abs(row.net) - row.working_exits)
        case.target = abs(row.net)
        if request.present & HAS_REQUESTED_LOTS:
            parsed = lot_steps(request.requested_lots, case.instrument)
            assert parsed is not None
            case.target, case.off_step = parsed
        case.answer["target_steps"] = case.target
        case.sizes_known = True
        case.largest = available
        case.lot = min(case.target, available)
        if case.off_step:
            case.set(S_CUT, R_LOT_STEP)
        clipped = S_CUT if case.lot < case.target else S_PASS
        if case.lot == 0:
            if case.target > 0:
                clipped = S_DENY
            else:
                case.set(S_DENY, R_LOT_STEP)
        case.set(clipped, R_EXIT_CLIPPED, available, 0)
        case.lots_max[R_EXIT_CLIPPED] = available

    # --- Conclusion ---------------------------------------------------------------------------

    def _conclude(self, case: Judgement) -> None:
        out_of_range = case.exact.out_of_range or self.books.exact.out_of_range
        if case.status[R_ENUM_VALUE_UNKNOWN] == S_PASS:
            case.check(R_ARITHMETIC_RANGE, denied=out_of_range)
        answer, denied = case.answer, bool(case.denials())
        answer["binding"] = self._binding(case) + 1
        if case.sizes_known:
            answer["known"] |= KNOWN_LARGEST
            largest = case.largest
            least = 0 if case.request.reduce_only else case.instrument.min_lot_steps
            largest = 0 if largest < least or case.hard_denials() else largest
            answer["largest_steps"] = largest
            answer["largest_passing_lots"] = lots_of(largest, case.instrument)
        if denied:
            answer["verdict"] = DENY
        else:
            cut = case.lot < case.target or case.off_step
            answer["verdict"] = REDUCE if cut else ALLOW
            answer["lot_steps"] = case.lot
            answer["lot_size"] = lots_of(case.lot, case.instrument)
        replaced, holds = case.replaced, not denied and not case.request.dry_run
        if replaced is not None:
            self.books.shift_hold(replaced, 1, replaced.left, replaced.risk, replaced.notional)
        if holds:
            self._hold(case)
            if replaced is not None:
                self.books.close_hold(replaced)

    @staticmethod
    def _binding(case: Judgement) -> int:
        """Return the index of the reason that decided, -1 for none."""
        if case.request.reduce_only:
            denials = case.denials()
            if denials:
                return denials[0]
            cuts = indices_of(case.status, S_CUT)
            for reason in (R_EXIT_CLIPPED, R_LOT_STEP):
                if reason in cuts:
                    return reason
            return -1
        hard = case.hard_denials()
        if hard:
            return hard[0]
        binds = any(case.status[reason] in (S_CUT, S_DENY) for reason in CAPS)
        if case.sizes_known and (case.lot < case.target or binds):
            return min(case.lots_max, key=lambda reason: (case.lots_max[reason], reason))
        if case.status[R_BELOW_MIN_LOT] == S_DENY:
            return R_BELOW_MIN_LOT
        return R_LOT_STEP if case.status[R_LOT_STEP] == S_CUT else -1

    def _hold(self, case: Judgement) -> None:
        books, request, answer = self.books, case.request, case.answer
        account, is_exit = case.account, bool(request.reduce_only)
        ends = books.now + account.spec.reservation_ttl_ns
        expires_at = -(-ends >> WHEEL_SHIFT) << WHEEL_SHIFT
        entry = case.entry
        if is_exit and request.present & HAS_ENTRY_PRICE:
            entry, _problem = price_ticks(request.entry_price, case.instrument)
        position = case.exit_row or books.position(account, request.symbol)
        hold = Hold(
            decision_id=books.sequence,
            account=account,
            instrument=case.instrument,
            side=request.side,
            is_exit=is_exit,
            position=position,
            exposure=books.exposure(account, case.instrument),
            left=case.lot,
            risk=case.hold_risk,
            notional=case.hold_notional,
            entry_ticks=entry,
            loss_per_lot=answer["loss_per_lot_micros"],
            notional_per_lot=answer["notional_per_lot_micros"],
            expires_at=expires_at,
            made_at=books.now,
        )
        self.controls.count(case, hold)
        books.open_hold(hold)
        answer["known"] |= KNOWN_HOLD
        answer["expires_at_ns"] = expires_at

    def take_back(self, decision_id: int) -> None:
        """Give back the hold of an order that was never sent, and what it has counted."""
        hold = self.books.holds.get(decision_id)
        if hold is not None and hold.in_use:
            self.controls.take_back(hold)
            self.books.close_hold(hold)

    def _fill(self, case: Judgement) -> dict[str, Any]:
        answer, books = case.answer, self.books
        answer.update(
            sequence=books.sequence,
            epoch=books.epoch,
            now_ns=books.now,
            state_version=books.state_version,
            breakers=case.breakers,
            status=case.status,
            limit=case.limit,
            observed=case.observed,
            lots_max=case.lots_max,
        )
        return answer
