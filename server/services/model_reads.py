"""What ModelService tells: versions, their moves, and what each engine runs."""

import asyncio
import logging
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from riskgate.v1 import model_pb2 as pb
from riskgate.v1 import model_pb2_grpc
from server.errors import PreconditionError, UnavailableError
from server.forms import fields
from server.forms.model import read_version, write_event, write_model, write_replica
from server.lifecycle import next_status
from server.loaders.redis_replica import RedisReplicas
from server.policy import DEFAULT_POLICY, canonical_bytes
from server.record import deployments
from server.record.admin_change import AdminChange
from server.record.approvals import ApprovalRepository
from server.record.models import ModelRepository
from server.record.paging import decode_token, encode_token, page_size
from server.record.policies import PolicyRepository
from server.record.pool import Database, connection
from server.replica import Replica
from server.security.feed_seal import FeedSeal
from server.security.field_encryption import KeyRing
from server.services.writing import Parts
from server.trust_errors import KeyRingError, SealedValueError

log = logging.getLogger(__name__)

Row = dict[str, Any]

SLIPPAGE: Final = "slippage"


class ModelReads(model_pb2_grpc.ModelServiceServicer):
    """The methods that change nothing.

    Args:
        parts: What services work with.
        keys_dir: `keys/` of the data directory.
    """

    def __init__(self, parts: Parts, keys_dir: Path) -> None:
        self._parts = parts
        self._models = ModelRepository(KeyRing.ensure(keys_dir))
        self._policies = PolicyRepository()
        self._approvals = ApprovalRepository()
        self._seal = FeedSeal.ensure(keys_dir)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        """Return one version, and what is proposed to be signed for it."""
        purpose, version = read_version(request.purpose, request.version)
        async with connection(self._parts.pool) as database:
            row = await self._models.require(database, purpose, version)
            statement = await self._find_statement(database, row)
        return pb.GetModelResponse(
            model=write_model(self._models.open_parameters(row)), proposed_statement=statement
        )

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Any
    ) -> pb.ListModelsResponse:
        """Return a page of versions."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 2)
        if after is not None:
            read_version(after[0], after[1])
        async with connection(self._parts.pool) as database:
            found = await self._models.page(
                database, purpose=request.purpose, after=after, limit=limit
            )
        last = found[-1] if len(found) == limit else None
        return pb.ListModelsResponse(
            models=[write_model(self._models.open_parameters(row)) for row in found],
            next_page_token=encode_token([last["purpose"], last["version"]]) if last else "",
        )

    async def ListDeploymentEvents(
        self, request: pb.ListDeploymentEventsRequest, context: Any
    ) -> pb.ListDeploymentEventsResponse:
        """Return events, oldest first."""
        limit = page_size(request.page_size)
        purpose, version = request.purpose, request.version
        if purpose:
            fields.identifier(purpose, "purpose")
        if version:
            _, version = read_version(purpose or "every", version)
        async with connection(self._parts.pool) as database:
            found = await deployments.events(
                database,
                purpose=purpose,
                version=version,
                # One that no event can have is past the last one all the same.
                from_event_id=min(request.from_event_id, 2**63 - 1),
                limit=limit,
            )
        return pb.ListDeploymentEventsResponse(
            events=map(write_event, found),
            next_event_id=found[-1]["event_id"] + 1 if len(found) == limit else 0,
        )

    async def ListReplicas(
        self, request: pb.ListReplicasRequest, context: Any
    ) -> pb.ListReplicasResponse:
        """Return what each engine says it runs, compared with the record."""
        said = await asyncio.to_thread(self._read_replicas)
        async with connection(self._parts.pool) as database:
            spoken = {row["purpose"]: row for row in await deployments.speaking(database)}
            policy = await self._policies.active(database) or DEFAULT_POLICY
        model = spoken.get(SLIPPAGE)
        expected = (
            bytes(model["digest"] or b"").hex() if model else "",
            model["serial"] if model else 0,
            sha256(canonical_bytes(policy)).hexdigest(),
        )
        return pb.ListReplicasResponse(replicas=[write_replica(each, expected) for each in said])

    async def _find_statement(self, database: Database, model: Row) -> bytes:
        """Return the statement that ApproveModel takes signatures of now; empty: none."""
        try:
            next_status("sign", model["status"])
        except PreconditionError:
            return b""
        proposal = await self._approvals.current(database, model)
        if proposal is None or await self._approvals.is_stale(database, proposal):
            return b""
        return bytes(proposal["statement"])

    def _read_replicas(self) -> list[Replica]:
        if not self._parts.redis_url:
            raise UnavailableError("redis")
        with closing(RedisReplicas(self._parts.redis_url, self._seal)) as replicas:
            return replicas.read_all()

    async def describe(self, change: AdminChange, model: Row | None) -> pb.ModelVersion | None:
        """Return a version as an open change leaves it; None for none."""
        if model is None:
            return None
        row = await self._models.require(change.database, model["purpose"], model["version"])
        return self.write(row)

    def write(self, row: Row) -> pb.ModelVersion:
        """Describe a version whose move must not fail for want of a key."""
        try:
            return write_model(self._models.open_parameters(row))
        except (SealedValueError, KeyRingError) as error:
            log.error("%s %s: %s", row["purpose"], row["version"], error)  # noqa: TRY400
            model = write_model(row)
            model.ClearField("training_json")
            return model
