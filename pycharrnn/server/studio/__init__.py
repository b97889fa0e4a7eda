"""What `pycharrnn studio` has beyond `serve`: texts are uploaded, trained on by `pycharrnn train`, and models sent."""
