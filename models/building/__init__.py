"""The parts of models/build.py: packages of weights in, ONNX files out."""
