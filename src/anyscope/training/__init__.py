"""Settings, augmentation, losses and the training loop."""
