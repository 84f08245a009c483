"""Recordings of samples as SigMF (https://sigmf.org), written and read without holding them in memory."""

from sdr.recording.reader import Recording, open_recording
from sdr.recording.recorder import Recorder, Written

__all__ = ["Recorder", "Recording", "Written", "open_recording"]
