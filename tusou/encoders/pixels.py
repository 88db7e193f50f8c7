"""How cn_clip normalises images: for each channel, on the scale from 0 to 1."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
