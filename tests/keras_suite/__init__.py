"""Keras's own unit tests as a witness: read from the installed wheel when they are run, and sent to minikeras.

python -m tests.keras_suite                       all files, with what passes, file by file
python -m tests.keras_suite losses metrics        the files below these folders
python -m tests.keras_suite -v losses/loss_test.py    also how each one fails
"""
