"""Unsupervised domain adaptation: labelled source images, unlabelled target images, a network for the target."""
