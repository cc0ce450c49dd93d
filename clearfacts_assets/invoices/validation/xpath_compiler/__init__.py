"""Proving that a document breaks no rule of a compiled Schematron, without XSLT.

``asserts`` reads the rules out of the artefact, ``xpath`` parses their tests, ``translation`` writes them as Python,
``runtime`` is what the written code calls, ``prover`` puts it together. What is not surely right is not proved, and
goes to Saxon: nothing here ever says that a document is wrong.
"""
