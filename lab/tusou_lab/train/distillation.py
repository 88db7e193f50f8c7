"""A loss that pulls a model's vectors, or its scores within a batch, towards a teacher's."""

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, linear, log_softmax, normalize

from tusou.core.errors import InvalidRequest
from tusou_lab.train.distillation_spec import DistillationSpec
from tusou_lab.train.losses import BatchTargets, PairLoss
from tusou_lab.train.models import Features
from tusou_lab.train.teacher import TeacherVectors

_RIDGE = 1e-3  # of the mean square that the projection is fitted to


class DistilledLoss(nn.Module):
    """The mean of a loss and of the distance to a teacher, by the share of the latter.

    The distance in `features` is 1 - cosine of the model's and the teacher's vector, averaged over
    images and texts; where the vectors differ in length, one learned projection takes both kinds of
    the model's vectors into the teacher's space. The distance in `relations` is the divergence of
    the model's softmax over the batch from the teacher's, each with its own scale, from texts to
    images and from images to texts.
    """

    def __init__(
        self, loss: PairLoss, teacher: TeacherVectors, spec: DistillationSpec, dim: int
    ) -> None:
        """Take the loss of the labels, and the length of the model's vectors.

        The projection begins as zeros: `start` fits it before the first step. Raises InvalidRequest
        for `relations` of a teacher without a scale.
        """
        super().__init__()
        assert spec.distil_weight is not None
        if spec.distil == "relations" and teacher.scale <= 1:
            raise InvalidRequest(
                f"--distil relations needs the scale of the teacher's scores, and {spec.teacher} "
                "has none: give --distil features"
            )
        self.base: PairLoss = loss
        self._teacher, self._weight, self._kind = teacher, spec.distil_weight, spec.distil
        self.projection: nn.Parameter | None = None
        if spec.distil == "features" and dim != teacher.dim:
            self.projection = nn.Parameter(torch.zeros(teacher.dim, dim))
        self.register_buffer("is_started", torch.tensor(self.projection is None))

    @property
    def needs_start(self) -> bool:
        """True while the projection is zeros."""
        return not self.get_buffer("is_started")

    def start(self, images: Tensor, texts: Tensor, targets: BatchTargets) -> None:
        """Fit the projection, by least squares, to vectors (m, d) and (n, d) of the first model.

        `targets` says whose vectors they are. A projection at random would take longer to learn
        than many trainings last.
        """
        assert self.projection is not None
        teacher = self._teacher.of_images(targets.images), self._teacher.of_texts(targets.queries)
        ours = torch.cat([images, texts]).double().cpu()
        theirs = torch.cat(teacher).double().cpu()
        square = ours.t() @ ours
        square += _RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
        with torch.no_grad():
            self.projection.copy_(torch.linalg.solve(square, ours.t() @ theirs).t())
            self.get_buffer("is_started").fill_(True)  # noqa: FBT003

    def forward(self, features: Features, targets: BatchTargets) -> Tensor:
        """Return the loss, a scalar."""
        images = self._teacher.of_images(targets.images)
        texts = self._teacher.of_texts(targets.queries)
        if self._kind == "features":
            distance = (
                self._angle(features.images, images) + self._angle(features.texts, texts)
            ) / 2
        else:
            ours = features.scale * features.texts.float() @ features.images.float().t()
            distance = divergence(ours, self._teacher.scale * texts @ images.t())
        if self._weight == 1:
            return distance
        return (1 - self._weight) * self.base(features, targets) + self._weight * distance

    def _angle(self, vectors: Tensor, teacher: Tensor) -> Tensor:
        vectors = vectors.float()
        if self.projection is not None:
            vectors = normalize(linear(vectors, self.projection))
        return 1 - (vectors * teacher).sum(dim=1).mean()


def divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence of scores (n, m) over rows and over columns."""
    by_text, by_image = (
        kl_div(log_softmax(ours, dim), log_softmax(theirs, dim), reduction="sum", log_target=True)
        / ours.shape[1 - dim]
        for dim in (1, 0)
    )
    return (by_text + by_image) / 2
