"""The contrastive loss of cn_clip without its false negatives."""

from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


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
