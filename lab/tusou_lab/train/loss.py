"""The losses of a batch of pairs: cn_clip's without its false negatives, and SigLIP's."""

from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, normalize

from tusou_lab.train.models import Features, Loss


def pair_loss(features: Features, correct: Tensor, loss: Loss) -> Tensor:
    """Return the loss of a batch; `correct` is that of `contrastive_loss`."""
    images, texts = features.images.float(), features.texts.float()
    if loss == "softmax":
        return contrastive_loss(images, texts, features.scale, correct)
    return sigmoid_loss(images, texts, features.scale, features.bias, correct)


def contrastive_loss(
    image_features: Tensor, text_features: Tensor, scale: Tensor, correct: Tensor
) -> Tensor:
    """Return the mean cross entropy of texts over images and of images over texts.

    Features are (n, d) unit rows. `correct` (n, n) is True where the text of a row is known to
    describe the image of a column; each row's target is shared evenly among its correct images.
    With only the diagonal set, this is the loss of cn_clip.
    """
    per_text = (scale * text_features @ image_features.t()).float()
    describes = correct.float()
    to_images = cross_entropy(per_text, normalize(describes, p=1, dim=1))
    to_texts = cross_entropy(per_text.t(), normalize(describes.t(), p=1, dim=1))
    return (to_images + to_texts) / 2


def sigmoid_loss(
    image_features: Tensor,
    text_features: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    correct: Tensor,
) -> Tensor:
    """Return the binary cross entropy of all pairs, summed over a row and averaged over rows.

    Arguments are those of `contrastive_loss`; the bias is added to the scaled cosine. With only the
    diagonal set, this is the loss of SigLIP.
    """
    logits = scale * text_features @ image_features.t()
    if bias is not None:
        logits = logits + bias
    signs = 2 * correct.float() - 1
    return -logsigmoid(signs * logits).sum(dim=1).mean()
