"""How the shipped encoders are trained, quantised, exported as .tflite and compiled for devices; runs on no device."""
