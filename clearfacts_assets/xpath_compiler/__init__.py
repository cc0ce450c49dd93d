"""Proving that a document breaks no rule of a compiled Schematron, without XSLT.

``asserts`` reads the rules out of the artefact, ``xpath`` parses their tests, ``translation`` (with ``calls`` and
``comparisons``) writes them as Python over ``elements``, ``runtime`` is what the written code calls, ``prover`` puts it
together. What is not surely right is not proved, and whoever asked has to ask elsewhere: nothing here ever says that a
document is wrong. ``doubts`` says where it may be, so that of a long one a part can be asked about. All of it knows
XPath and XSLT, and nothing of what documents are about.
"""
