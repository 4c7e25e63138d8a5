"""Question 1: is everything well?"""
